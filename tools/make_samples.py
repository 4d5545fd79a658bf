"""Make sample pictures in `images/`: photographs from PyPI packages, drawn styles, a mask.

    pip install scikit-image scikit-learn matplotlib
    python tools/make_samples.py --out images

Everything random is seeded, so that the same libraries draw the same pictures.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

Picture = np.ndarray
STYLES: dict[str, tuple[str, Callable[[np.random.Generator], Picture]]] = {}

# file, title, author, package, file in the package, license
PHOTOS = [
    ("astronaut", "Eileen Collins, astronaut", "NASA", "skimage", "data/astronaut.png",
     "public domain"),
    ("cat", "Chelsea the cat", "Stefan van der Walt", "skimage", "data/chelsea.png", "CC0 1.0"),
    ("coffee", "Coffee cup, courtesy of Pikolo Espresso Bar", "Rachel Michetti", "skimage",
     "data/coffee.png", "CC0 1.0"),
    ("flower", "Dahlia", "vultilion (flickr.com/photos/vultilion/6056698931)", "sklearn",
     "datasets/images/flower.jpg", "CC BY 2.0"),
    ("hopper", "Grace Hopper, rear admiral", "James S. Davis, US Navy", "matplotlib",
     "mpl-data/sample_data/grace_hopper.jpg", "public domain"),
    ("photographer", "Photographer, grey", "Lav Varshney", "skimage", "data/camera.png",
     "CC0 1.0"),
    ("rocket", "Falcon 9 carrying DSCOVR lifts off", "SpaceX", "skimage", "data/rocket.jpg",
     "public domain"),
    ("temple", "Tower over a lake, China",
     "danielbuechele (flickr.com/photos/danielbuechele/6061409035)", "sklearn",
     "datasets/images/china.jpg", "CC BY 2.0"),
]  # fmt: skip


def style(title: str) -> Callable:
    """Register a function that draws one style picture under its own name."""

    def register(draw: Callable[[np.random.Generator], Picture]) -> Callable:
        STYLES[draw.__name__] = (title, draw)
        return draw

    return register


# Tools of the painter


def noise(rng: np.random.Generator, size: tuple[int, int], scale: float, octaves: int = 4):
    """Smooth noise in [0, 1]; `scale` is the size of its largest blobs, pixels."""
    height, width = size
    total, weight = np.zeros(size, np.float32), 1.0
    for _ in range(octaves):
        cells = (int(height / scale) + 3, int(width / scale) + 3)
        grid = rng.random(cells, dtype=np.float32)
        enlarged = cv2.resize(
            grid, (int(cells[1] * scale) + 1, int(cells[0] * scale) + 1),
            interpolation=cv2.INTER_CUBIC,
        )  # fmt: skip
        total += weight * enlarged[:height, :width]
        scale, weight = max(scale / 2, 1.0), weight / 2
    low, high = total.min(), total.max()
    return (total - low) / (high - low)


def mesh(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    return y, x


def ramp(values: np.ndarray, *colors: tuple[int, int, int]) -> Picture:
    """Colours for values in [0, 1], (h, w, 3) float32."""
    places = np.linspace(0, 1, len(colors))
    planes = [np.interp(values, places, [c[i] for c in colors]) for i in range(3)]
    return np.stack(planes, axis=-1).astype(np.float32)


def mix(below: Picture, above: Picture | tuple, mask: np.ndarray) -> Picture:
    return below + (np.asarray(above, np.float32) - below) * np.clip(mask, 0, 1)[..., None]


def relief(paint: Picture, height: np.ndarray, strength: float) -> Picture:
    """Light from the upper left on a surface of that height."""
    height = cv2.GaussianBlur(height.astype(np.float32), (0, 0), 0.8)
    slope = cv2.Sobel(height, cv2.CV_32F, 1, 0) + cv2.Sobel(height, cv2.CV_32F, 0, 1)
    shade = np.clip(strength * slope, -0.4, 0.4)[..., None]
    return paint * (1 + np.minimum(shade, 0)) + (255 - paint) * np.maximum(shade, 0)


def drag(picture: Picture, angle: np.ndarray, reach: int) -> Picture:
    """Smear along `angle`, as wet paint under the hairs of a brush."""
    y, x = mesh(angle.shape)
    along = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    steps = [
        cv2.remap(picture, x + k * along[0], y + k * along[1], cv2.INTER_LINEAR,
                  borderMode=cv2.BORDER_REFLECT)
        for k in range(-reach, reach + 1)
    ]  # fmt: skip
    return np.mean(steps, axis=0, dtype=np.float32)


def weave(size: tuple[int, int], rng: np.random.Generator, depth: float = 5) -> np.ndarray:
    """The threads of a canvas, (h, w, 1), to be added."""
    y, x = mesh(size)
    warp = 3 * noise(rng, size, 40, 2)
    threads = np.sin((x + warp) * 1.7) * np.sin((y + warp) * 1.7)
    return (depth * threads + rng.normal(0, depth / 2, size))[..., None]


def paper(size: tuple[int, int], rng: np.random.Generator, tone: tuple[int, int, int]) -> Picture:
    fibre = noise(rng, size, 60, 5) - 0.5 + 0.5 * (noise(rng, size, 4, 2) - 0.5)
    return np.array(tone, np.float32) + 22 * fibre[..., None] + rng.normal(0, 2.5, (*size, 1))


def oil(
    scene: Picture,
    angle: np.ndarray,
    rng: np.random.Generator,
    layers: tuple[tuple[int, int, float], ...] = ((26, 90, 2.0), (13, 60, 2.2), (7, 34, 1.5)),
    jitter: float = 16,
    impasto: float = 0.0035,
    wet: int = 4,
) -> Picture:
    """Paint a scene with bristle strokes along `angle`; layers of (width, length, coverage)."""
    size = scene.shape[:2]
    canvas = np.clip(scene * 0.75 + 25, 0, 255).astype(np.uint8)
    height = np.zeros(size, np.uint8)
    detail = np.abs(scene - cv2.GaussianBlur(scene, (0, 0), 9)).max(axis=-1)
    for number, (width, length, coverage) in enumerate(layers):
        count = int(coverage * size[0] * size[1] / (width * length))
        for _ in range(count):
            y, x = rng.uniform(0, size[0] - 1), rng.uniform(0, size[1] - 1)
            # Fine strokes gather where the scene has edges.
            if number and rng.random() > 0.35 + detail[int(y), int(x)] / 25:
                continue
            color = scene[int(y), int(x)] + rng.normal(0, jitter, 3) * (0.7, 0.6, 1.0)
            color = color + rng.normal(0, jitter * 0.7)
            path, steps = [], 8
            span = length * rng.uniform(0.6, 1.3)
            for _ in range(steps):
                path.append((x, y))
                row, column = int(np.clip(y, 0, size[0] - 1)), int(np.clip(x, 0, size[1] - 1))
                turn = angle[row, column]
                x, y = x + np.cos(turn) * span / steps, y + np.sin(turn) * span / steps
            points = np.array(path)
            ahead = np.gradient(points, axis=0)
            across = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
            across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
            bristles = max(3, int(width / 2.0))
            for k in range(bristles):
                place = (k + rng.uniform(-0.3, 0.3)) / (bristles - 1) - 0.5
                first = rng.integers(0, 2)
                last = steps - int(rng.integers(0, 3) * 2 * abs(place))
                line = (points + across * place * width)[first:last]
                shade = rng.normal(0, jitter * 0.35)
                fixed = np.rint(line * 16).astype(np.int32)[None]
                tone = tuple(float(v) for v in np.clip(color + shade, 0, 255))
                thick = max(2, round(width / bristles) + 1)
                cv2.polylines(canvas, fixed, False, tone, thick, cv2.LINE_AA, 4)
                ridge = 90 + 70 * (2 * abs(place)) ** 3 + rng.normal(0, 16)
                cv2.polylines(height, fixed, False, float(np.clip(ridge, 0, 255)), thick,
                              cv2.LINE_AA, 4)  # fmt: skip
    # The hairs leave furrows finer than the strokes.
    hairs = drag(rng.normal(0, 1, size).astype(np.float32), angle, 3 * wet)
    paint = drag(canvas.astype(np.float32), angle, wet) + 16 * hairs[..., None]
    height = drag(height.astype(np.float32), angle, wet) + 75 * hairs
    return relief(paint, height, impasto) + weave(size, rng, 2)


# Style pictures -----------------------------------------------------------------------------------


@style("Night swirls, impasto")
def night_swirls(rng: np.random.Generator) -> Picture:
    size = (640, 800)
    y, x = mesh(size)
    u, v = np.ones(size, np.float32), 0.35 * np.sin(x / 90)
    psi = y / 26 + 1.4 * np.sin(x / 80)
    for cx, cy, radius, sign in ((330, 190, 95, 1), (470, 290, 65, -1), (700, 330, 60, 1)):
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) + 1
        pull = 3.2 * np.exp(-((distance / radius) ** 2) * 0.8)
        u += sign * pull * -dy / distance
        v += sign * pull * dx / distance
        turn = np.exp(-((distance / radius / 1.2) ** 2))
        psi = psi * (1 - turn) + turn * (distance / 9 + np.arctan2(dy, dx) * sign)
    bands = 0.5 + 0.5 * np.sin(psi * 1.5 + 2 * noise(rng, size, 70, 2))
    tone = np.clip(0.65 * bands + 0.35 * y / 500, 0, 1)
    scene = ramp(
        tone, (14, 22, 66), (28, 58, 130), (62, 112, 178), (150, 186, 196), (208, 208, 160)
    )
    stars = [(690, 95, 62)] + [
        (rng.uniform(170, 780), rng.uniform(25, 330), rng.uniform(15, 30)) for _ in range(11)
    ]
    for cx, cy, radius in stars:
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) + 1
        glow = np.exp(-((distance / radius) ** 2))
        rings = 0.5 + 0.5 * np.cos(distance / radius * 6)
        halo = ramp(rings, (226, 196, 96), (250, 238, 170))
        scene = mix(scene, halo, glow * 1.5)
        scene = mix(scene, (252, 206, 62), distance < radius * 0.42)
        u, v = u * (1 - glow) - 3 * glow * dy / distance, v * (1 - glow) + 3 * glow * dx / distance
    ridge = 470 + 45 * np.sin(x / 120 + 1) + 26 * np.sin(x / 47)
    scene = mix(scene, ramp(noise(rng, size, 60, 3), (20, 44, 62), (48, 92, 104), (96, 132, 92)),
                y > ridge)  # fmt: skip
    near = 560 + 24 * np.sin(x / 90)
    scene = mix(scene, ramp(noise(rng, size, 40, 3), (16, 30, 30), (52, 82, 48), (150, 142, 66)),
                y > near)  # fmt: skip
    v = np.where(y > ridge, 0.5 * np.cos(x / 60), v)
    half = 52 * np.clip((y - 40) / 560, 0, 1) ** 0.75 * (1 + 0.22 * np.sin(y / 22))
    flame = np.abs(x - 105 - 10 * np.sin(y / 46)) < half
    scene = mix(
        scene, ramp(noise(rng, size, 26, 2), (10, 18, 22), (34, 58, 42), (74, 82, 44)), flame
    )
    angle = np.arctan2(v, u)
    angle = np.where(flame, np.pi / 2 + 0.5 * np.sin(y / 24 + x / 15), angle)
    return oil(scene, angle, rng, ((18, 64, 2.2), (11, 46, 3.0), (7, 30, 1.6)), 14, 0.0023)


@style("Harbour at dusk, dots of pure colour")
def pointillist(rng: np.random.Generator) -> Picture:
    size = (640, 800)
    y, x = mesh(size)
    horizon = 300
    sky = ramp(np.clip(y / horizon, 0, 1), (88, 128, 190), (158, 170, 206), (240, 196, 168),
               (250, 212, 130))  # fmt: skip
    sea = ramp(np.clip((y - horizon) / 260, 0, 1), (236, 190, 150), (124, 152, 192), (52, 92, 142))
    scene = mix(sky, sea, y > horizon)
    sun = np.hypot(x - 520, y - 235)
    scene = mix(scene, (255, 240, 180), np.exp(-((sun / 60) ** 2)) * (y < horizon) * 1.4)
    path = np.exp(-(((x - 520) / (18 + np.maximum(y - horizon, 0) / 5)) ** 2)) * (
        0.5 + 0.5 * np.sin(y / 4)
    )
    scene = mix(scene, (255, 214, 130), path * (y > horizon))
    hills = 285 - 38 * np.sin(x / 130 + 0.6) - 16 * np.sin(x / 41)
    scene = mix(scene, (112, 108, 160), (y > hills) * (y < horizon) * (x < 420))
    for cx, base, tall in ((250, 392, 150), (640, 420, 120), (420, 352, 70)):
        sail = (y < base) & (y > base - tall)
        side = (x - cx > 0) & (x - cx < (y - base + tall) * 0.45)
        scene = mix(scene, (250, 236, 214), sail & side)
        back = (x - cx < -3) & (cx - x < (y - base + tall * 0.8) * 0.32)
        scene = mix(scene, (226, 150, 112), sail & back)
        hull = (np.abs(x - cx - 8) < tall * 0.42 - (y - base) * 0.8) & (y >= base) & (y < base + 14)
        scene = mix(scene, (82, 50, 92), hull)
        mirror = np.exp(-(((x - cx) / (tall * 0.2)) ** 2)) * (y > base + 14) * (y < base + 90)
        scene = mix(scene, (206, 176, 170), mirror * (0.45 + 0.45 * np.sin(y / 3)))
    bank = 560 - 0.18 * x + 24 * np.sin(x / 70)
    grass = ramp(noise(rng, size, 50, 4), (30, 74, 70), (84, 128, 60), (176, 184, 72))
    scene = mix(scene, grass, y > bank)
    trunk = (np.abs(x - 88 - 8 * np.sin(y / 60)) < 13) & (y > 180) & (y < 600)
    scene = mix(scene, (86, 50, 66), trunk)
    crown = noise(rng, size, 46, 3) + 0.9 * np.exp(
        -(((x - 90) / 130) ** 2 + ((y - 110) / 105) ** 2)
    )
    leaves = ramp(noise(rng, size, 30, 3), (28, 58, 84), (52, 112, 80), (150, 172, 70))
    scene = mix(scene, leaves, (crown - 0.98) * 12)
    canvas = np.clip(paper(size, rng, (236, 226, 204)), 0, 255).astype(np.uint8)
    for radius, count in ((6, 9_000), (5, 22_000), (4, 42_000)):
        places = rng.uniform(0, 1, (count, 2)) * (size[0] - 1, size[1] - 1)
        colors = scene[places[:, 0].astype(int), places[:, 1].astype(int)]
        hsv = cv2.cvtColor(np.clip(colors, 0, 255).astype(np.uint8)[None], cv2.COLOR_RGB2HSV)[0]
        hsv = hsv.astype(np.int32)
        kind = rng.random(count)
        # Neighbours on the wheel, and now and then the complement, as the divisionists did.
        hsv[:, 0] += np.where(kind < 0.13, 90, rng.normal(0, 9, count)).astype(int)
        hsv[:, 0] %= 180
        hsv[:, 1] = np.clip(hsv[:, 1] * 1.25 + 22 + rng.normal(0, 14, count), 0, 255)
        hsv[:, 2] = np.clip(hsv[:, 2] + rng.normal(4, 20, count), 0, 255)
        dots = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2RGB)[0]
        for (row, column), dot in zip(places, dots, strict=True):
            center = (int(column * 16), int(row * 16))
            axes = (int(radius * 8 * rng.uniform(0.8, 1.25)), int(radius * 8))
            cv2.ellipse(canvas, ((center[0] / 16, center[1] / 16), (axes[0] / 8, axes[1] / 8),
                        rng.uniform(0, 180)), dot.tolist(), -1, cv2.LINE_AA)  # fmt: skip
    return canvas.astype(np.float32)


@style("Composition of lines and planes")
def grid(rng: np.random.Generator) -> Picture:
    size = (720, 720)
    cells, done = [(0, 0, 720, 720)], []
    while cells:
        top, left, bottom, right = cells.pop()
        tall, wide = bottom - top, right - left
        if max(tall, wide) < 130 or (max(tall, wide) < 300 and rng.random() < 0.3):
            done.append((top, left, bottom, right))
        elif tall > wide:
            cut = top + int(tall * rng.uniform(0.25, 0.75))
            cells += [(top, left, cut, right), (cut, left, bottom, right)]
        else:
            cut = left + int(wide * rng.uniform(0.25, 0.75))
            cells += [(top, left, bottom, cut), (top, cut, bottom, right)]
    palette = [(238, 234, 222)] * 5 + [(228, 226, 216), (206, 30, 34), (206, 30, 34),
               (24, 62, 150), (24, 62, 150), (244, 204, 44), (244, 204, 44),
               (28, 28, 32)]  # fmt: skip
    scene, angle = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    for top, left, bottom, right in done:
        scene[top:bottom, left:right] = palette[rng.integers(len(palette))]
        angle[top:bottom, left:right] = 0 if right - left > bottom - top else np.pi / 2
    strokes = oil(
        scene, angle + rng.normal(0, 0.03), rng, ((16, 120, 3.0), (9, 80, 2.0)), 3, 0.0012
    )
    # Flat planes, and only a breath of the brush in them.
    picture = 0.75 * scene + 0.25 * strokes
    lines = np.zeros(size, np.uint8)
    for top, left, bottom, right in done:
        cv2.rectangle(lines, (left, top), (right, bottom), 255, int(rng.choice([9, 11, 15])))
    picture = mix(picture, (20, 19, 22), cv2.GaussianBlur(lines, (0, 0), 0.8) / 255.0)
    cracks = np.abs(noise(rng, size, 70, 5) - 0.5) < 0.0035
    return picture * (1 - 0.25 * cracks[..., None]) + weave(size, rng, 4)


@style("Circles, wedges and lines, abstract")
def geometric(rng: np.random.Generator) -> Picture:
    size = (640, 800)
    picture = paper(size, rng, (238, 226, 196))
    for color in ((244, 208, 120), (206, 222, 214), (240, 190, 170), (190, 204, 226)):
        cloud = noise(rng, size, 260, 3)
        picture = mix(picture, color, (cloud - 0.55) * 2.4)
    inks = [(200, 36, 40), (24, 50, 120), (240, 184, 30), (20, 22, 28), (46, 128, 110),
            (226, 112, 40), (112, 58, 130), (94, 162, 206), (232, 150, 170)]  # fmt: skip

    def fill(draw: Callable[[np.ndarray], None], color: tuple, opacity: float) -> None:
        nonlocal picture
        mask = np.zeros(size, np.uint8)
        draw(mask)
        grain = 0.8 + 0.35 * noise(rng, size, 90, 4)
        picture = mix(picture, color, mask / 255.0 * opacity * grain)

    def ink() -> tuple:
        return inks[rng.integers(len(inks))]

    for _ in range(9):
        corner = rng.uniform((0, 0), (800, 640))
        spread = rng.uniform(60, 240)
        points = np.rint(corner + rng.normal(0, spread, (3, 2))).astype(np.int32)
        fill(lambda m, p=points: cv2.fillPoly(m, [p], 255, cv2.LINE_AA), ink(), 0.75)
    for _ in range(17):
        center = tuple(int(v) for v in rng.uniform((40, 40), (760, 600)))
        radius = int(rng.choice([14, 22, 34, 50, 74, 110], p=[0.2, 0.2, 0.2, 0.2, 0.12, 0.08]))
        while radius > 6:
            fill(lambda m, c=center, r=radius: cv2.circle(m, c, r, 255, -1, cv2.LINE_AA),
                 ink(), 0.88)  # fmt: skip
            radius = int(radius * rng.uniform(0.45, 0.8))
            if rng.random() < 0.2:
                break
    for _ in range(26):
        start = rng.uniform((0, 0), (800, 640))
        turn, length = rng.choice([0.4, 1.2, 2.3, 2.8]) + rng.normal(0, 0.12), rng.uniform(90, 420)
        end = start + length * np.array([np.cos(turn), np.sin(turn)])
        ends = [tuple(int(v) for v in p) for p in (start, end)]
        thick = int(rng.choice([2, 3, 3, 5, 8]))
        fill(lambda m, e=ends, t=thick: cv2.line(m, *e, 255, t, cv2.LINE_AA),
             (24, 22, 26) if rng.random() < 0.7 else ink(), 0.95)  # fmt: skip
    for _ in range(9):
        center = tuple(int(v) for v in rng.uniform((80, 80), (720, 560)))
        for k in range(int(rng.integers(1, 5))):
            axes, begin = (40 + 14 * k, 40 + 14 * k), rng.uniform(0, 360)
            fill(lambda m, c=center, a=axes, b=begin: cv2.ellipse(
                m, c, a, 0, b, b + 130, 255, 4, cv2.LINE_AA), (22, 22, 30), 0.9)  # fmt: skip
    for _ in range(4):
        left, top = (int(v) for v in rng.uniform((40, 40), (660, 520)))
        side, tint = int(rng.choice([13, 17, 22])), ink()
        skew = rng.normal(0, 0.3)
        for row in range(5):
            for column in range(5):
                quad = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + (column, row)
                quad = quad @ np.array([[1, skew], [-skew, 1]]) * side + (left, top)
                corners = np.rint(quad).astype(np.int32)
                fill(
                    lambda m, q=corners: cv2.fillPoly(m, [q], 255, cv2.LINE_AA),
                    tint if (row + column) % 2 else (244, 236, 214),
                    0.92,
                )
    return picture + weave(size, rng, 5)


@style("Mountains in mist, ink on paper")
def ink_wash(rng: np.random.Generator) -> Picture:
    size = (800, 640)
    y, x = mesh(size)
    sheet = paper(size, rng, (232, 224, 204))
    dark = np.zeros(size, np.float32)
    wet = noise(rng, size, 120, 5)
    for number, (level, rough, depth) in enumerate(
        ((250, 90, 0.22), (330, 130, 0.34), (440, 120, 0.5), (560, 110, 0.68), (690, 80, 0.92))
    ):
        line = noise(rng, (1, size[1]), 170 - 14 * number, 6)[0]
        ridge = level - rough * (2.2 * line - 1)
        below = y - ridge[None]
        slope = cv2.GaussianBlur(noise(rng, size, 46, 5), (1, 31), 0) - 0.5
        fade = np.exp(-np.maximum(below, 0) / (46 + 16 * number + 34 * wet))
        tone = depth * fade * (0.72 + 1.3 * slope) * (below > 0)
        edge = 0.5 * depth * np.exp(-((below / 3.2) ** 2)) * (noise(rng, size, 18, 2) > 0.36)
        # Dry streaks down the slope: the brush dragged sideways.
        streak = np.abs(noise(rng, size, 30, 4) - 0.5 + 0.0011 * (x - y))
        crag = depth * 0.55 * np.exp(-np.maximum(below, 0) / 60) * (streak < 0.035) * (below > 4)
        veil = np.clip(below / 90, 0, 1)
        dark = dark * (1 - 0.55 * veil * (below > 0)) + tone + edge * 0.8 + crag
    strokes = np.zeros(size, np.uint8)
    for base, tall in ((70, 210), (118, 150), (560, 175), (598, 120), (520, 90)):
        foot = 770 - 30 * rng.random()
        for step in range(int(tall)):
            lean = base + 7 * np.sin(step / 30)
            cv2.circle(strokes, (int(lean), int(foot - step)), max(1, int(5 - step / 45)), 225, -1)
        for _ in range(int(tall * 1.1)):
            rise = rng.uniform(0.22, 1) * tall
            reach = (1.08 - rise / tall) * tall * 0.36
            side = rng.choice([-1, 1])
            start = np.array([base + 7 * np.sin(rise / 30), foot - rise])
            end = start + (side * reach * rng.uniform(0.3, 1), rng.uniform(-4, 12))
            cv2.line(strokes, tuple(int(v) for v in start), tuple(int(v) for v in end),
                     int(rng.uniform(90, 250)), int(rng.choice([1, 2, 2, 3])),
                     cv2.LINE_AA)  # fmt: skip
    for cx, cy in ((410, 150), (440, 132), (470, 158), (380, 120)):
        for side in (-1, 1):
            cv2.ellipse(strokes, (cx + side * 7, cy), (7, 4), 0, 190, 350, 190, 2, cv2.LINE_AA)
    dark += cv2.GaussianBlur(strokes, (0, 0), 0.7) / 255.0 * (0.75 + 0.3 * noise(rng, size, 8, 2))
    dark = np.clip(dark, 0, 1)
    bloom = cv2.GaussianBlur(dark, (0, 0), 5)
    dark = np.clip(0.8 * dark + 0.25 * bloom, 0, 0.97) * (0.9 + 0.2 * noise(rng, size, 5, 2))
    picture = sheet * (1 - dark[..., None]) + dark[..., None] * np.array((30, 32, 38), np.float32)
    seal = (np.abs(x - 566) < 19) & (np.abs(y - 92) < 24)
    marks = (np.abs(x - 566) > 14) | (np.abs(y - 92) > 19) | (np.sin(x / 2.6) * np.sin(y / 3.1) > 0)
    worn = noise(rng, size, 6, 2) > 0.3
    return mix(picture, (176, 40, 32), seal * marks * worn * 0.9)


@style("Great swell, woodblock print")
def woodblock(rng: np.random.Generator) -> Picture:
    size = (640, 900)
    y, x = mesh(size)
    picture = ramp(np.clip(y / 330, 0, 1), (70, 104, 140), (176, 190, 184), (232, 214, 176),
                   (238, 206, 160))  # fmt: skip
    picture = mix(picture, (204, 74, 52), np.hypot(x - 690, y - 130) < 58)
    for cy, cx, wide in ((90, 250, 150), (150, 420, 110), (190, 130, 120)):
        for k in range(3):
            bar = (np.abs(y - cy - 14 * k) < 5) & (np.abs(x - cx - 26 * k) < wide - 22 * k)
            picture = mix(picture, (240, 228, 202), bar)
    cone = 300 - np.maximum(0, 120 - np.abs(x - 560) * 0.62) ** 1.06
    picture = mix(picture, (64, 84, 118), y > cone)
    cap = (y > cone) & (y < 218 + 9 * np.abs(np.sin(x / 13)))
    picture = mix(picture, (242, 236, 220), cap)
    line, foam = (22, 38, 70), (244, 240, 226)
    for number in range(7):
        crest_at = 300 + 50 * number
        sway = 46 + 8 * number
        phase = x / (95 + 12 * number) + 2.1 * number
        # A sharpened, leaning sine: steep on one side, as the printmakers cut their waves.
        lean = np.sin(phase + 0.75 * np.sin(phase))
        surge = 150 * np.exp(-(((x - 190) / 150) ** 2)) if number == 3 else 0
        crest = crest_at - sway * np.abs(lean) ** 1.4 * np.sign(lean) - surge
        below = y - crest
        inside = below > 0
        tones = ((26, 52, 98), (48, 92, 142), (120, 160, 184), (226, 226, 208))
        bands = (below / (15 + 2 * number) + 0.5 * np.sin(x / 40 + number)).astype(int)
        pattern = np.array([0, 1, 0, 2, 1, 0, 1, 3, 0])[np.clip(bands, 0, 80) % 9]
        water = np.array(tones, np.float32)[pattern]
        picture = np.where(inside[..., None], water, picture)
        seam = np.abs((below / (15 + 2 * number) + 0.5 * np.sin(x / 40 + number)) % 1 - 0.06) < 0.06
        picture = mix(picture, line, inside * seam)
        caps, edge = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        for column in range(0, size[1], 9):
            top = crest[0, column]
            steep = np.clip((crest_at + 8 - top) / sway, 0, 1.6)
            for _ in range(int(6 * steep)):
                place = (int(column + rng.normal(0, 5)), int(top + rng.normal(7, 11) * steep))
                radius = int(rng.uniform(3, 7 + 4 * steep))
                cv2.circle(edge, place, radius + 2, 255, -1, cv2.LINE_AA)
                cv2.circle(caps, place, radius, 255, -1, cv2.LINE_AA)
            if steep > 0.8 and rng.random() < 0.5:
                drop = (int(column + rng.normal(0, 26)), int(top - rng.uniform(14, 60)))
                cv2.circle(edge, drop, 4, 255, -1, cv2.LINE_AA)
                cv2.circle(caps, drop, 3, 255, -1, cv2.LINE_AA)
        picture = mix(picture, line, np.exp(-((below / 1.7) ** 2)))
        picture = mix(picture, line, edge / 255.0)
        picture = mix(picture, foam, caps / 255.0)
    wood = np.sin(y * 0.55 + 9 * noise(rng, size, 150, 3) + x * 0.006) * 4.5
    worn = (noise(rng, size, 5, 3) > 0.76) * 14
    picture = picture + (wood + worn)[..., None] + rng.normal(0, 3, (*size, 1))
    border = np.minimum(np.minimum(x, size[1] - 1 - x), np.minimum(y, size[0] - 1 - y)) < 12
    return mix(picture, (234, 222, 194), border)


@style("Rose window, stained glass")
def stained_glass(rng: np.random.Generator) -> Picture:
    size = (720, 720)
    y, x = mesh(size)
    radius, turn = np.hypot(x - 360, y - 360), np.arctan2(y - 360, x - 360)
    points, tints = [], []
    jewels = [(176, 20, 36), (20, 52, 150), (16, 110, 84), (228, 160, 24), (102, 36, 128),
              (40, 120, 190), (214, 84, 30)]  # fmt: skip
    for ring, (reach, count) in enumerate(
        (
            (0, 1),
            (52, 8),
            (105, 12),
            (160, 24),
            (212, 24),
            (265, 36),
            (318, 48),
            (370, 40),
            (440, 44),
        )
    ):
        for k in range(count):
            place = 2 * np.pi * (k + 0.5 * (ring % 2)) / count
            points.append((360 + reach * np.sin(place) + rng.normal(0, 5),
                           360 + reach * np.cos(place) + rng.normal(0, 5)))  # fmt: skip
            tint = jewels[(ring * 2 + (k % 2) * (ring % 3 + 1)) % len(jewels)]
            if ring > 6:
                tint = ((18, 34, 96), (30, 64, 130), (60, 28, 90))[rng.integers(3)]
            tints.append(np.clip(np.array(tint) + rng.normal(0, 16, 3), 0, 255))
    nearest = np.full(size, 1e9, np.float32)
    second, owner = nearest.copy(), np.zeros(size, np.int32)
    bend = 7 * (noise(rng, size, 90, 2) - 0.5), 7 * (noise(rng, size, 90, 2) - 0.5)
    for index, (px, py) in enumerate(points):
        distance = np.hypot(x + bend[0] - px, y + bend[1] - py)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        owner = np.where(closer, index, owner)
        nearest = np.where(closer, distance, nearest)
    glass = np.array(tints, np.float32)[owner]
    streaks = noise(rng, size, 40, 5) * 0.5 + noise(rng, size, 9, 2) * 0.2
    shine = np.exp(-((nearest / 26) ** 2))
    light = 0.62 + 0.75 * streaks + 0.42 * shine - 0.00028 * radius
    glass = glass * light[..., None] + 60 * (shine * streaks)[..., None]
    bubbles = rng.random(size) > 0.9993
    glass += 110 * cv2.GaussianBlur(bubbles.astype(np.float32), (0, 0), 1.1)[..., None] * 3
    gap = second - nearest
    circles = np.min([np.abs(radius - r) for r in (80, 186, 292, 345)], axis=0)
    spokes = np.abs(np.sin(turn * 6)) * radius * (radius > 80) * (radius < 345) + 99 * (
        radius <= 80
    )
    spokes = spokes + 99 * (radius >= 345)
    lead = np.minimum(np.minimum(gap / 2, circles - 1.5), spokes / 6 - 1)
    mask = np.clip(4.2 - lead, 0, 1)
    metal = 26 + 34 * np.clip(1 - np.abs(lead - 1.4), 0, 1) + 14 * noise(rng, size, 6, 2)
    return mix(glass, metal[..., None] * np.array((0.9, 0.95, 1.0), np.float32), mask)


@style("Poppies, watercolour")
def watercolor(rng: np.random.Generator) -> Picture:
    size = (800, 640)
    y, x = mesh(size)
    grain = noise(rng, size, 7, 3)
    picture = paper(size, rng, (248, 245, 236))

    def wash(mask: np.ndarray, color: tuple, strength: float) -> None:
        """A transparent stain: darker where it dried, along the edge and in the paper's pits."""
        nonlocal picture
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2)
        inner = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 7)
        rim = np.clip(soft - inner, 0, 1) * soft
        pool = 0.45 + 0.75 * noise(rng, size, 60, 4)
        amount = soft * strength * pool * (0.82 + 0.36 * grain) + rim * strength * 0.9
        absorb = 1 - np.array(color, np.float32) / 255
        picture = picture * np.exp(-1.5 * absorb * amount[..., None])

    def blob(cx: float, cy: float, rx: float, ry: float, turn: float, rough: float) -> np.ndarray:
        c, s = np.cos(turn), np.sin(turn)
        dx, dy = ((x - cx) * c + (y - cy) * s) / rx, ((y - cy) * c - (x - cx) * s) / ry
        return np.hypot(dx, dy) + rough * (noise(rng, size, 50, 4) - 0.5) < 1

    for _ in range(7):
        tint = [(120, 170, 205), (190, 200, 120), (235, 190, 150), (150, 190, 170)][rng.integers(4)]
        place, reach = rng.uniform((0, 0), (640, 800)), rng.uniform(90, 230, 2)
        wash(blob(*place, *reach, rng.uniform(0, 3), 1.3), tint, 0.35)
    flowers = [(200, 190, 95), (440, 150, 80), (330, 340, 110), (130, 430, 75), (520, 380, 88),
               (560, 60, 45), (60, 90, 48)]  # fmt: skip
    for cx, cy, reach in flowers:
        stem = np.zeros(size, np.uint8)
        foot = (int(320 + (cx - 320) * 0.45 + rng.normal(0, 20)), 815)
        bend = ((cx + foot[0]) // 2 + int(rng.normal(0, 30)), (cy + 815) // 2)
        t = np.linspace(0, 1, 40)[:, None]
        curve = (
            (1 - t) ** 2 * (cx, cy + reach * 0.6)
            + 2 * t * (1 - t) * np.array(bend)
            + t**2 * np.array(foot)
        )
        cv2.polylines(stem, [np.rint(curve).astype(np.int32)], False, 1, 7)
        wash(stem, (70, 120, 60), 1.0)
    for _ in range(20):
        cx, cy = rng.uniform((60, 480), (590, 790))
        wash(blob(cx, cy, rng.uniform(45, 110), rng.uniform(8, 19), rng.normal(-1.5, 0.5), 0.5),
             [(60, 120, 70), (110, 150, 60), (40, 100, 100)][rng.integers(3)], 0.75)  # fmt: skip
    for cx, cy, reach in flowers:
        begin = rng.uniform(0, 6)
        for k in range(5):
            turn = begin + k * 2 * np.pi / 5
            tint = [(222, 40, 30), (235, 90, 40), (205, 30, 70), (240, 120, 90)][rng.integers(4)]
            wash(blob(cx + 0.5 * reach * np.cos(turn), cy + 0.4 * reach * np.sin(turn),
                      reach * 0.62, reach * 0.5, turn, 0.55), tint, 0.72)  # fmt: skip
        wash(blob(cx, cy, reach * 0.2, reach * 0.17, 0, 0.6), (40, 20, 60), 1.6)
        for _ in range(26):
            turn, far = rng.uniform(0, 6.3), reach * rng.uniform(0.2, 0.36)
            center = (int(cx + far * np.cos(turn)), int(cy + far * np.sin(turn)))
            dot = np.zeros(size, np.uint8)
            cv2.circle(dot, center, int(rng.integers(1, 4)), 1, -1)
            picture = mix(picture, (46, 24, 50), dot * 0.8)
    for _ in range(90):
        dot = np.zeros(size, np.uint8)
        center = tuple(int(v) for v in rng.uniform((0, 0), (640, 800)))
        cv2.circle(dot, center, int(rng.exponential(2.2)) + 1, 1, -1, cv2.LINE_AA)
        tint = [(222, 60, 40), (90, 140, 90), (110, 150, 190)][rng.integers(3)]
        picture = mix(picture, picture * np.array(tint, np.float32) / 255, dot * 0.6)
    return picture + 7 * (grain[..., None] - 0.5)


@style("Still life, pencil hatching")
def pencil(rng: np.random.Generator) -> Picture:
    size = (640, 800)
    y, x = mesh(size)
    table = y > 390
    light = 0.5 + 0.35 * np.clip((x + 0.5 * y) / 900, 0, 1) + 0.12 * noise(rng, size, 240, 3)
    light = np.where(table, 0.74 - 0.18 * noise(rng, size, 200, 2), light)
    direction = np.where(table, 0.06, 0.95).astype(np.float32)
    outline = np.exp(-(((y - 390) / 1.1) ** 2))
    balls = ((190, 385, 108), (640, 430, 96), (330, 470, 72), (490, 525, 56))
    for cx, cy, r in balls:
        fall = ((x - cx - r * 0.8) / (r * 1.2)) ** 2 + ((y - cy - r * 0.82) / (r * 0.3)) ** 2
        light = light - 0.6 * np.exp(-fall) * table
    fall = ((x - 540) / 120) ** 2 + ((y - 448) / 26) ** 2
    light = light - 0.5 * np.exp(-fall) * table
    rows = np.arange(size[0], dtype=np.float32)
    half = np.interp(rows, [60, 80, 130, 190, 290, 390, 450], [50, 46, 27, 38, 98, 88, 56])
    half = cv2.GaussianBlur(half[:, None].astype(np.float32), (1, 41), 0)
    side = (x - 460) / half
    tall = (y > 62) & (y < 448)
    vase = (np.abs(side) < 1) & tall
    tone = 1.0 - 0.86 * np.clip(side * 0.6 + 0.4, 0, 1) ** 1.3
    tone += 0.3 * np.exp(-(((side - 0.97) / 0.14) ** 2)) - 0.3 * np.exp(-(((y - 66) / 12) ** 2))
    light = np.where(vase, tone, light)
    direction = np.where(vase, 0.5 * side + 0.1, direction)
    rim = np.exp(-((((np.abs(side) - 1) * half) / 1.2) ** 2)) * tall
    outline = np.where(vase, rim, np.maximum(outline, rim))
    for cx, cy, r in balls:
        dx, dy = (x - cx) / r, (y - cy) / r
        ball = np.hypot(dx, dy)
        lit = -0.55 * dx - 0.6 * dy + 0.58 * np.sqrt(np.clip(1 - ball**2, 0, 1))
        glow = 0.1 + 0.95 * np.clip(lit, 0, 1) + 0.22 * np.clip(dy, 0, 1) ** 3
        rim = np.exp(-(((ball - 1) * r / 1.2) ** 2))
        light = np.where(ball < 1, glow, light)
        direction = np.where(ball < 1, np.arctan2(dx, -dy), direction)
        outline = np.where(ball < 1, rim, np.maximum(outline, rim))
    dark = np.zeros(size, np.float32)
    layers = ((0.95, 0.0, 3.4), (0.72, 0.55, 3.2), (0.52, -0.6, 3.0), (0.36, 1.2, 2.8),
              (0.22, 0.2, 2.6))  # fmt: skip
    for threshold, offset, gap in layers:
        layer = np.zeros(size, np.uint8)
        for _ in range(int(size[0] * size[1] / (gap * 14))):
            py, px = rng.uniform(0, size[0] - 1), rng.uniform(0, size[1] - 1)
            need = threshold - light[int(py), int(px)]
            if need < rng.uniform(-0.02, 0.2):
                continue
            turn = direction[int(py), int(px)] + offset + rng.normal(0, 0.05)
            reach = rng.uniform(7, 17)
            step = np.array([np.cos(turn), np.sin(turn)]) * reach
            bow = np.array([-step[1], step[0]]) * rng.normal(0.06, 0.03)
            line = np.array([(px, py) - step, (px, py) + bow, (px, py) + step])
            cv2.polylines(layer, np.rint(line * 16).astype(np.int32)[None], False,
                          int(rng.uniform(60, 170)), 1, cv2.LINE_AA, 4)  # fmt: skip
        dark = dark + layer / 255.0 * (1 - 0.4 * dark)
    tooth = noise(rng, size, 3, 2)
    shift = [2.5 * noise(rng, size, 60, 2) for _ in range(2)]
    again = cv2.remap(outline.astype(np.float32), x + shift[0], y + shift[1], cv2.INTER_LINEAR)
    dark += (0.6 * outline + 0.45 * again) * (0.35 + 0.8 * noise(rng, size, 50, 3))
    # Graphite rubbed in with a finger.
    dark += 0.22 * cv2.GaussianBlur(np.clip(0.8 - light, 0, 1).astype(np.float32), (0, 0), 4)
    dark = np.clip(dark * (0.5 + 0.9 * tooth), 0, 0.9)
    sheet = paper(size, rng, (240, 235, 222))
    return sheet * (1 - dark[..., None]) + dark[..., None] * np.array((44, 42, 46), np.float32)


@style("Sun over the sea, mosaic")
def mosaic(rng: np.random.Generator) -> Picture:
    size = (640, 800)
    y, x = mesh(size)
    radius, turn = np.hypot(x - 400, y - 330), np.arctan2(y - 330, x - 400)
    rays = np.sin(turn * 12) > 0
    scene = np.where(rays[..., None], np.array((26, 82, 132)), np.array((70, 146, 176))).astype(
        np.float32
    )
    scene = mix(scene, (236, 170, 56), (radius < 190 + 44 * np.sin(turn * 12)))
    scene = mix(scene, (190, 60, 38), (radius < 150))
    scene = mix(scene, (246, 206, 96), radius < 126)
    scene = mix(scene, (226, 130, 44), radius < 58)
    wave = 470 + 26 * np.abs(np.sin(x / 52))
    for k, tint in enumerate(((232, 228, 208), (24, 110, 120), (18, 66, 104), (44, 142, 138))):
        scene = mix(scene, tint, y > wave + 36 * k + 12 * np.sin(x / 30 + k))
    edge = np.minimum(np.minimum(x, 799 - x), np.minimum(y, 639 - y))
    key = ((x // 26 + y // 26) % 2 == 0)[..., None]
    scene = np.where((edge < 40)[..., None], np.where(key, (168, 50, 40), (232, 216, 178)), scene)
    picture = paper(size, rng, (122, 114, 102))
    height, tile = np.zeros(size, np.uint8), 11.5
    canvas = np.clip(picture, 0, 255).astype(np.uint8)
    for ring in range(int(560 / tile)):
        reach = (ring + 0.5) * tile
        count = max(4, int(2 * np.pi * reach / tile))
        begin = rng.uniform(0, 6.3)
        for k in range(count):
            middle = begin + 2 * np.pi * k / count
            spread = np.pi / count * 0.86
            inner, outer = reach - tile * 0.43, reach + tile * 0.43
            corners = [(inner, middle - spread), (inner, middle + spread),
                       (outer, middle + spread), (outer, middle - spread)]  # fmt: skip
            quad = np.array([(400 + r * np.cos(a), 330 + r * np.sin(a)) for r, a in corners])
            quad += rng.normal(0, 0.7, (4, 2))
            cx, cy = quad.mean(axis=0)
            if not (0 <= cx < size[1] and 0 <= cy < size[0]):
                continue
            color = scene[int(cy), int(cx)] * rng.normal(1, 0.11) + rng.normal(0, 9, 3)
            fixed = [np.rint(quad * 16).astype(np.int32)]
            cv2.fillPoly(canvas, fixed, np.clip(color, 0, 255).tolist(), cv2.LINE_AA, 4)
            cv2.fillPoly(height, fixed, int(rng.uniform(120, 220)), cv2.LINE_AA, 4)
    stone = canvas + (26 * (noise(rng, size, 9, 3) - 0.5))[..., None]
    return relief(stone.astype(np.float32), height, 0.0022)


@style("Embers, palette knife")
def embers(rng: np.random.Generator) -> Picture:
    size = (640, 800)
    y, x = mesh(size)
    heat = noise(rng, size, 260, 4) + 0.5 * np.exp(-(((y - 360) / 130) ** 2)) - 0.15
    scene = ramp(np.clip(heat, 0, 1), (18, 14, 22), (70, 16, 30), (176, 30, 26), (230, 96, 26),
                 (248, 186, 62), (252, 236, 190))  # fmt: skip
    cool = noise(rng, size, 180, 3)
    scene = mix(scene, (28, 92, 104), (cool - 0.66) * 7)
    angle = 5.5 * noise(rng, size, 300, 2) - 1.5
    return oil(scene, angle, rng, ((50, 120, 4.5), (32, 80, 3.0), (14, 60, 1.2)), 15, 0.0024, 7)


@style("City at noon, comic with halftone dots")
def comic(rng: np.random.Generator) -> Picture:
    size = (640, 800)
    y, x = mesh(size)
    turn = np.arctan2(y - 150, x - 560)
    sky = np.where((np.sin(turn * 22) > 0)[..., None], np.array((252, 222, 90)), (250, 244, 214))
    scene, ink = sky.astype(np.float32), np.zeros(size, np.uint8)
    shade = np.clip((y - 60) / 620, 0, 1)

    def fill(corners: list[tuple[float, float]], tint: tuple[int, int, int], dark: float) -> None:
        mask = np.zeros(size, np.uint8)
        shape = [np.rint(np.array(corners) + rng.normal(0, 1.2, (len(corners), 2))).astype(int)]
        cv2.fillPoly(mask, shape, 1)
        scene[mask > 0] = tint
        shade[mask > 0] = dark
        ink[mask > 0] = 0
        cv2.polylines(ink, shape, True, 255, int(rng.integers(3, 6)), cv2.LINE_AA)

    disc = [(560 + 96 * np.cos(a), 150 + 96 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 60)]
    fill(disc, (238, 64, 54), 0.25)
    tints = ((44, 118, 196), (232, 72, 62), (250, 196, 48), (60, 168, 146), (244, 132, 60))
    for row, (floor, tall) in enumerate(((470, 300), (560, 230), (640, 160))):
        left = -30.0
        while left < size[1]:
            width, top = rng.uniform(64, 130), floor - tall * rng.uniform(0.45, 1.0)
            tint = tints[int(rng.integers(len(tints)))]
            side = left + width * 0.68
            fill([(left, 650), (left, top), (side, top), (side, 650)], tint, 0.2 + 0.15 * row)
            dim = tuple(int(0.6 * c) for c in tint)
            wall = [(side, 650), (side, top), (left + width, top + 22), (left + width, 650)]
            fill(wall, dim, 0.8)
            for wy in np.arange(top + 18, 640, 34):
                for wx in np.arange(left + 9, side - 16, 22):
                    if rng.random() < 0.8:
                        pane = [(wx, wy), (wx + 12, wy), (wx + 12, wy + 18), (wx, wy + 18)]
                        fill(pane, (250, 246, 226) if rng.random() < 0.4 else (40, 42, 70), 0.1)
            left += width
    # A screen of dots turned by 30 degrees; darker places have larger dots.
    across, along = (x * 0.866 + y * 0.5) / 8, (y * 0.866 - x * 0.5) / 8
    reach = np.hypot(across - np.rint(across), along - np.rint(along))
    dots = np.clip((0.56 * np.sqrt(shade) - reach) * 8 + 0.5, 0, 1)
    scene = mix(scene, scene * np.array((0.62, 0.5, 0.62), np.float32), dots)
    ink = np.maximum(ink, cv2.dilate(ink, np.ones((2, 2), np.uint8)))
    scene = mix(scene, (18, 16, 26), cv2.GaussianBlur(ink, (0, 0), 0.7) / 255.0)
    return scene * (paper(size, rng, (250, 246, 236)) / 255)


# Files --------------------------------------------------------------------------------------------


def save(picture: Picture, path: Path, quality: int) -> None:
    pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=quality, optimize=True, progressive=True)


def photo(package: str, name: str) -> Picture:
    """A photograph out of an installed package, its longer side at most 640 pixels."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit(f"{package} is missing: pip install scikit-image scikit-learn matplotlib")
    picture = Image.open(Path(next(iter(spec.submodule_search_locations))) / name).convert("RGB")
    picture.thumbnail((640, 640), Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32)


def sky(picture: Picture) -> Picture:
    """White where a photograph shows bright, even sky down from its upper edge, (h, w)."""
    picture = picture.astype(np.uint8)
    _, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    grey = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 1.5), cv2.COLOR_RGB2GRAY)
    even = np.abs(cv2.Laplacian(grey, cv2.CV_32F)) < 9
    bright = ((value > 150) & (saturation < 110) & even).astype(np.uint8)
    _, parts = cv2.connectedComponents(bright, connectivity=4)
    top = np.bincount(parts[0][parts[0] > 0]).argmax()
    mask = cv2.morphologyEx((parts == top).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5)))
    return cv2.GaussianBlur(mask * 255, (0, 0), 1)


def credits(images: Path) -> str:
    lines = [
        "# Credits of the sample pictures",
        "",
        "`python tools/make_samples.py --out images` makes `inputs`, `masks` and `styles`.",
        "",
        "## inputs: photographs",
        "",
        "Changes: reduced to at most 640 pixels where larger, saved as JPEG.",
        "",
        "| file | title | author | source package and file | license |",
        "|---|---|---|---|---|",
    ]
    names = {"skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "Matplotlib"}
    for file, title, author, package, source, license in PHOTOS:
        origin = f"{names[package]}, `{package}/{source}`"
        lines.append(f"| inputs/{file}.jpg | {title} | {author} | {origin} | {license} |")
    lines += [
        "",
        "CC BY 2.0: https://creativecommons.org/licenses/by/2.0/ - CC0 1.0:",
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "",
        "## styles: drawn by this project",
        "",
        "Computed by `tools/make_samples.py`; under the license of the code.",
        "",
        "| file | title |",
        "|---|---|",
    ]
    lines += [f"| styles/{name}.jpg | {title} |" for name, (title, _) in STYLES.items()]
    lines += [
        "",
        "## masks",
        "",
        "`masks/temple/1-sky.png` and its reverse, `2-land.png`, were computed of",
        "`inputs/temple.jpg` by the same script; under the license of the code.",
        "",
        "## paintings: works in the public domain",
        "",
        "Reproductions of works whose authors died more than 70 years ago and that were published",
        "before 1929. Changes: frames and borders cut off, reduced to at most 448 pixels on the",
        "shorter side, saved as JPEG. `tools/make_cards.py` makes the style cards of them that",
        "come with the weights.",
        "",
        "| file | title | artist | year | source package and file | license |",
        "|---|---|---|---|---|---|",
    ]
    with open(images / "paintings" / "credits.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            file_name, *rest = row.values()
            lines.append(f"| paintings/{file_name}.jpg | {' | '.join(rest)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("images"), help="default: images")
    parser.add_argument("--only", nargs="*", choices=sorted(STYLES), help="draw these styles only")
    options = parser.parse_args()
    for index, (name, (_, draw)) in enumerate(STYLES.items()):
        if not options.only or name in options.only:
            save(draw(np.random.default_rng(index)), options.out / "styles" / f"{name}.jpg", 84)
    if options.only:
        return
    for file, _, _, package, source, _ in PHOTOS:
        save(photo(package, source), options.out / "inputs" / f"{file}.jpg", 90)
    temple = np.asarray(Image.open(options.out / "inputs" / "temple.jpg"))
    for name, mask in (("1-sky", sky(temple)), ("2-land", 255 - sky(temple))):
        path = options.out / "masks" / "temple" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path, optimize=True)
    text = credits(Path(__file__).resolve().parent.parent / "images")
    (options.out / "CREDITS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
