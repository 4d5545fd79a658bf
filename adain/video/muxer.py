"""Joining finished segments with the sound, subtitles and chapters of the source."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.stream import Disposition

from adain.video.clip import VideoError
from adain.video.codecs import MUXERS
from adain.video.encoder import Encoding
from adain.video.packets import read_packets, read_times
from adain.video.reader import open_container

_COPIED = ("audio", "subtitle", "attachment")
_NOT_OURS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
"""Metadata that the writer of a file makes itself."""


class Tracks(NamedTuple):
    """What a result takes over from its source besides the picture."""

    path: Path
    streams: tuple[int, ...]
    """Indices of the streams that are copied."""
    start: Fraction
    """Seconds of the source's time at which the result begins."""
    end: Fraction | None
    """Seconds after its beginning at which the result ends; None: all that there is."""
    whole: bool
    """Whether chapters fit, because all of the clip is used."""


def find_tracks(
    path: Path, suffix: str, start: Fraction, end: Fraction | None, whole: bool
) -> tuple[Tracks, list[str]]:
    """The sound, subtitles and attachments of a source that a result can hold.

    Args:
        path: The source.
        suffix: Of the result.
        start, end: Seconds from the source's beginning.
        whole: Whether all of it is used.

    Returns:
        The tracks, and a line for each one that is left out.

    Raises:
        VideoError: If a sound track cannot be held.
    """
    kept, left = [], []
    with open_container(path) as source, av.open(io.BytesIO(), "w", format=MUXERS[suffix]) as out:
        begin = Fraction(source.start_time or 0, av.time_base)
        for stream in source.streams:
            cover = stream.type == "video" and stream.disposition & Disposition.attached_pic
            if stream.type not in _COPIED and not cover:
                continue
            codec = getattr(stream.codec_context, "name", None) or "an unknown codec"
            try:
                out.add_stream_from_template(stream)
            except (av.error.FFmpegError, ValueError, AttributeError, KeyError):
                holds = False
            else:
                holds = True
            if holds:
                kept.append(stream.index)
            elif stream.type == "audio":
                raise VideoError(
                    f"{path}: {suffix} cannot hold its sound ({codec}) as it is. Write .mkv, which "
                    "holds any, or use --no-sound."
                )
            else:
                kind = {"video": "cover picture"}.get(stream.type, stream.type)
                left.append(f"{path}: its {kind} ({codec}) is left out, which {suffix} cannot hold")
    return Tracks(path, tuple(kept), begin + start, end, whole), left


def join(
    target: Path,
    suffix: str,
    encoding: Encoding,
    segments: Sequence[Path],
    end: Fraction,
    tracks: Tracks | None,
) -> list[str]:
    """Write a video file out of finished segments.

    Args:
        target: The file, which may exist; its name does not matter.
        suffix: Of the result.
        encoding: How the segments were encoded.
        segments: Files of packets, in order.
        end: Seconds at which the last frame ends.
        tracks: What to copy of the source.

    Returns:
        A line for each thing of the source that could not be copied.
    """  # fmt: skip
    problems: list[str] = []
    options = {}
    if MUXERS[suffix] in ("mp4", "mov"):
        # The beginning of the track is then exact, and players need not read to the end first.
        scale = str(min(encoding.ticks.denominator, 2**31 - 1))
        options = {"movflags": "+faststart", "movie_timescale": scale}
    with av.open(str(target), "w", format=MUXERS[suffix], options=options) as out:
        stream = out.add_stream(encoding.about.encoder, rate=encoding.rate)
        encoding.set_up(stream.codec_context)
        stream.time_base = encoding.ticks
        if encoding.about.encoder == "libx265" and MUXERS[suffix] in ("mp4", "mov"):
            # Apple's players know it by this name alone.
            stream.codec_context.codec_tag = "hvc1"
        if tracks is None:
            out.start_encoding()
            for packet in _video(segments, encoding, end, stream):
                out.mux(packet)
            return problems
        with open_container(tracks.path) as source:
            copies = _copy_streams(source, out, tracks)
            _copy_texts(source, out, stream, tracks)
            out.start_encoding()
            video = ((_time(p), 0, p) for p in _video(segments, encoding, end, stream))
            copied = _copied(source, copies, tracks, problems)
            for _, _, packet in heapq.merge(video, copied, key=lambda each: each[:2]):
                out.mux(packet)
    return problems


def _time(packet: av.Packet) -> Fraction:
    return packet.dts * packet.time_base


def _video(
    segments: Sequence[Path], encoding: Encoding, end: Fraction, stream
) -> Iterator[av.Packet]:
    """The packets of all segments, with decoding times that grow across their borders."""
    coded: list[int] = []
    for path in segments:
        with open(path, "rb") as file:
            coded += read_times(file)
    shown = sorted(coded)
    places = {time: place for place, time in enumerate(shown)}
    # Frames that are shown later than they are decoded push all others back.
    delay = max((place - places[time] for place, time in enumerate(coded)), default=0)
    step = max(round(1 / (encoding.rate * encoding.ticks)), 1)
    last = max(round(end / encoding.ticks), shown[-1] + 1) if shown else 0
    following = dict(zip(shown, [*shown[1:], last], strict=True))
    number = 0
    for path in segments:
        with open(path, "rb") as file:
            for stored in read_packets(file):
                packet = av.Packet(stored.data)
                packet.stream, packet.time_base = stream, encoding.ticks
                packet.pts = stored.pts
                early = shown[0] - (delay - number) * step
                packet.dts = shown[number - delay] if number >= delay else early
                packet.duration = following[stored.pts] - stored.pts
                packet.is_keyframe = stored.is_keyframe
                number += 1
                yield packet


def _copy_streams(source, out, tracks: Tracks) -> dict:
    copies = {}
    for stream in source.streams:
        if stream.index in tracks.streams:
            copy = out.add_stream_from_template(stream)
            copy.disposition = stream.disposition
            copy.metadata.update(_texts(stream.metadata))
            copies[stream.index] = copy
    return copies


def _copy_texts(source, out, stream, tracks: Tracks) -> None:
    """Titles, places, times, languages and chapters."""
    from adain.video.reader import video_stream

    out.metadata.update(_texts(source.metadata))
    stream.metadata.update(_texts(video_stream(source, str(tracks.path)).metadata))
    chapters = source.chapters()
    if chapters and tracks.whole:
        out.set_chapters(chapters)


def _texts(metadata) -> dict[str, str]:
    return {name: text for name, text in metadata.items() if name.lower() not in _NOT_OURS}


def _copied(
    source, copies: dict, tracks: Tracks, problems: list[str]
) -> Iterator[tuple[Fraction, int, av.Packet]]:
    """The source's packets inside the part that is used, moved to where that begins."""
    streams = [source.streams[index] for index in copies if copies[index].type != "attachment"]
    if not streams:
        return
    if tracks.start > 0 and not tracks.whole:
        source.seek(int(tracks.start * av.time_base), backward=True)
    packets = source.demux(streams)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            reason = getattr(error, "strerror", "") or error
            problems.append(f"{tracks.path}: its sound cannot be read to its end ({reason})")
            return
        if packet is None:
            return
        cover = packet.stream.type == "video"
        if cover and packet.size:
            packet.stream = copies[packet.stream.index]
            packet.pts = packet.dts = 0
            yield Fraction(0), 1, packet
            continue
        if not packet.size or packet.pts is None:
            continue
        base = packet.time_base
        time = packet.pts * base - tracks.start
        if not tracks.whole:
            if time < 0 or (tracks.end is not None and time >= tracks.end):
                if tracks.end is not None and time > tracks.end + 10:
                    return
                continue
        # Exact: a packet's time is a whole number of its own ticks, the shift need not be.
        shift = round(tracks.start / base)
        packet.stream = copies[packet.stream.index]
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        yield _time(packet), 1, packet
