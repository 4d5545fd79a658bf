"""Joining finished segments with the sound, subtitles and chapters of the source."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from adain.video.clip import VideoError
from adain.video.codecs import MUXERS
from adain.video.encoder import Encoding
from adain.video.packets import read_packets, read_times
from adain.video.reader import open_container, video_stream
from adain.video.timeline import Timeline, find_jumps
from adain.video.tracks import COVERS, Tracks, is_cover

_LAYOUTS = {
    1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1",
}  # fmt: skip
"""Which channels so many are, where a file does not tell, as FFmpeg takes them."""
_NOT_OURS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
"""Metadata that the writer of a file makes itself."""


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

    Raises:
        VideoError: If FFmpeg refuses what is to be written.
    """
    try:
        return _join(target, suffix, encoding, segments, end, tracks)
    except av.error.FFmpegError as error:
        # A disk that is full is told by its own error.
        if isinstance(error, OSError):
            raise
        first = "--no-sound" if tracks and tracks.streams else "another --codec"
        remedy = f"Try {first}, or another format."
        raise VideoError(f"{suffix} does not take it ({error.strerror}). {remedy}") from error


def _join(
    target: Path,
    suffix: str,
    encoding: Encoding,
    segments: Sequence[Path],
    end: Fraction,
    tracks: Tracks | None,
) -> list[str]:
    problems: list[str] = []
    options = {}
    is_mp4 = MUXERS[suffix] in ("mp4", "mov")
    if is_mp4:
        # The beginning of the track is then exact, and players need not read to the end first.
        scale = str(min(encoding.ticks.denominator, 2**31 - 1))
        options = {"movflags": "+faststart", "movie_timescale": scale}
    with av.open(str(target.absolute()), "w", format=MUXERS[suffix], options=options) as out:
        stream = out.add_stream(encoding.about.encoder, rate=encoding.rate)
        encoding.set_up(stream.codec_context)
        stream.time_base = encoding.ticks
        if encoding.about.encoder == "libx265" and is_mp4:
            # Apple's players know it by this name alone.
            stream.codec_context.codec_tag = "hvc1"
        if tracks is None:
            out.start_encoding()
            for packet in _video(segments, encoding, end, stream, spans=is_mp4):
                out.mux(packet)
            return problems
        with open_container(tracks.path) as source:
            copies = _copy_streams(source, out, tracks, MUXERS[suffix])
            _copy_texts(source, out, stream, tracks)
            out.start_encoding()
            video = (
                (_time(p), 0, p) for p in _video(segments, encoding, end, stream, spans=is_mp4)
            )
            copied = _copied(source, copies, tracks, problems)
            for _, _, packet in heapq.merge(video, copied, key=lambda each: each[:2]):
                out.mux(packet)
    return problems


def _time(packet: av.Packet) -> Fraction:
    return packet.dts * packet.time_base


def _video(
    segments: Sequence[Path], encoding: Encoding, end: Fraction, stream, *, spans: bool
) -> Iterator[av.Packet]:
    """The packets of all segments, with decoding times that grow across their borders.

    With `spans`, all of them together last as long as what is shown, which MP4 takes for the length
    of a track: the last one decoded has what is missing.
    """
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
                if spans and number == len(shown) - 1:
                    packet.dts = max(packet.dts, stored.pts - delay * step)
                    rest = last - delay * step - packet.dts
                    packet.duration = max(packet.duration, rest)
                packet.is_keyframe = stored.is_keyframe
                number += 1
                yield packet


def _copy_streams(source, out, tracks: Tracks, muxer: str) -> dict:
    copies = {}
    for stream in source.streams:
        if stream.index not in tracks.streams:
            continue
        if is_cover(stream) and muxer == "matroska":
            # As a stream it would be another video there.
            picture = next((bytes(p) for p in _packets(tracks.path, stream.index)), b"")
            out.add_attachment(*COVERS[stream.codec_context.name], picture)
            continue
        copy = out.add_stream_from_template(stream)
        layout = stream.codec_context.layout if stream.type == "audio" else None
        if layout is not None and layout.name == f"{layout.nb_channels} channels":
            # AVI does not tell which they are, and MP4 must.
            copy.codec_context.layout = _LAYOUTS.get(layout.nb_channels, layout)
        copy.disposition = stream.disposition
        copy.metadata.update(_texts(stream.metadata))
        copies[stream.index] = copy
    return copies


def _packets(path: Path, index: int) -> Iterator[av.Packet]:
    with open_container(path) as source:
        yield from (p for p in source.demux(source.streams[index]) if p.size)


def _copy_texts(source, out, stream, tracks: Tracks) -> None:
    """Titles, places, times, languages and chapters."""
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
    with open_container(tracks.path) as again:
        jumps = find_jumps(again, video_stream(again, str(tracks.path)))
    timelines = {stream.index: Timeline(stream, jumps) for stream in streams}
    last: dict[int, int] = {}
    # From the beginning: seeking leads to the picture, and sound of that time may lie before it.
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
        index = packet.stream.index
        if packet.stream.type == "video" and packet.size:
            packet.stream = copies[index]
            packet.pts = packet.dts = 0
            yield Fraction(0), 1, packet
            continue
        if not packet.size or packet.pts is None:
            continue
        packet = timelines[index].fit(packet)
        base = packet.time_base
        time = packet.pts * base - tracks.start
        if not tracks.whole:
            if time < 0 or (tracks.end is not None and time >= tracks.end):
                if tracks.end is not None and time > tracks.end + 10:
                    return
                continue
        # Exact: a packet's time is a whole number of its own ticks, the shift need not be.
        shift = round(tracks.start / base)
        packet.stream = copies[index]
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        if packet.stream.type == "audio":
            # Files hold times that grow, and those of broken ones may not.
            packet.dts = max(packet.dts, last.get(index, packet.dts - 1) + 1)
            packet.pts = max(packet.pts, packet.dts)
            last[index] = packet.dts
        yield _time(packet), 1, packet
