"""Times of streams that begin again in the midst, as in transport streams that were joined; and
where a time is found in a file."""

from __future__ import annotations

from fractions import Fraction

import av
from av.format import Flags

_BACK, _FORWARD = Fraction(1, 10), Fraction(10)
"""Seconds between one packet and the next from which their times do not belong together."""


class Timeline:
    """Gives packets of a stream, in their order, times that go on where those before ended.

    Args:
        stream: The stream; of containers whose times cannot begin again nothing is changed.
        known: Seconds by which earlier streams of the same file were moved at each place, which
            keeps this one in step with them.

    Attributes:
        jumps: Seconds by which times are moved from each such place on.
    """

    def __init__(self, stream, known: tuple[Fraction, ...] = ()):
        self.jumps: list[Fraction] = []
        self._base, self._known = stream.time_base, known
        self._watched = _can_jump(stream.container)
        self._shift = 0
        self._last: int | None = None
        self._step = 1

    def fit(self, packet: av.Packet) -> av.Packet:
        """The packet with its times on this timeline, in place."""
        time = packet.dts if packet.dts is not None else packet.pts
        if not self._watched or time is None:
            return packet
        if self._last is not None:
            gap = (time + self._shift - self._last) * self._base
            if not -_BACK < gap < _FORWARD:
                self._jump(time)
            elif gap > 0:
                self._step = time + self._shift - self._last
        self._last = time + self._shift
        if packet.pts is not None:
            packet.pts += self._shift
        if packet.dts is not None:
            packet.dts += self._shift
        return packet

    def _jump(self, time: int) -> None:
        number = len(self.jumps)
        if number < len(self._known):
            self._shift = round(self._known[number] / self._base)
        else:
            self._shift = self._last + self._step - time
        self.jumps.append(self._shift * self._base)


def _can_jump(container) -> bool:
    """Whether the times of a container may begin again, as FFmpeg says of it."""
    return bool(container.format.flags & Flags.ts_discont.value)


def find_jumps(container, stream) -> tuple[Fraction, ...]:
    """The jumps of a stream; reads all of the file if there may be some."""
    if not _can_jump(container):
        return ()
    timeline = Timeline(stream)
    for packet in container.demux(stream):
        if packet.size:
            timeline.fit(packet)
    return tuple(timeline.jumps)


def find_place(container, stream, time: Fraction) -> int | None:
    """Where to seek, so that all frames from a time on are decoded.

    Containers without an index lead to any packet of about that time, others to a keyframe that is
    decoded before it and shown later: what is decoded from there may begin too late.

    Args:
        container: Open; it is somewhere else afterwards.
        stream: The picture's.
        time: Seconds, as the stream counts them.

    Returns:
        Ticks of the stream; None: nowhere, all has to be read from the beginning.
    """
    # Few packets of program streams have times, and of joined streams there are all twice.
    if container.format.name == "mpeg" or find_jumps(container, stream):
        return None
    wanted, begin = int(time / stream.time_base), stream.start_time or 0
    place, step = wanted, round(1 / stream.time_base)
    while place > begin:
        try:
            container.seek(place, stream=stream, backward=True)
            first = next(container.decode(stream), None)
        except av.error.FFmpegError:
            return None
        if first is not None and first.pts is not None and first.pts <= wanted:
            return place
        place, step = place - step, 2 * step
    return None
