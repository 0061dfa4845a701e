"""How far behind the clock a sensor's readings come in, and whether that is a late feed or a wrong clock. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: Less than this is what messages take, with a re-sent batch.
NOTABLE = timedelta(minutes=5)
#: Feeds that are late by nature (hourly packets, a neighbouring agency's exports) are at most this late; what is older
#: than that and does not come at the pace it was measured was replayed.
LATEST_FEED = timedelta(hours=3)
#: A reading that is sent at once and labelled with another zone is late by whole or half hours and by what it takes.
_ZONE_STEP, _ZONE_LEAST, _ZONE_MOST = timedelta(minutes=30), timedelta(hours=1), timedelta(hours=14)
_ZONE_EARLY, _ZONE_LATE = timedelta(seconds=10), timedelta(seconds=60)
#: Where clocks begin after a reset, and how long they may have run since.
_RESETS = tuple(datetime(*date, tzinfo=UTC) for date in ((1970, 1, 1), (1980, 1, 6), (2000, 1, 1), (2020, 1, 1)))
_RESET_RUNS = timedelta(days=10)
#: The week number of GPS has ten bits: an old receiver is 1,024 weeks behind.
_GPS_ERA, _GPS_OFF = timedelta(weeks=1024), timedelta(days=1)
#: So many readings show at which pace they come; a constant lag differs by no more than this.
LEAST = 3
_CONSTANT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Lag:
    """How much later the newest reading came than it says it was measured."""

    behind: timedelta
    #: zone, gps, reset; constant (always the same: a wrong clock, or a usual delay, unregistered); else late.
    kind: str
    #: The readings come at the pace at which they were measured: no backlog, no replay.
    live: bool

    @property
    def is_clock(self) -> bool:
        """Whether it is one that wrong clocks have, rather than late feeds."""
        if self.kind == "constant":
            return self.behind > LATEST_FEED
        return self.kind == "zone" or (self.live and self.kind in ("gps", "reset"))

    def words(self, language: str) -> str:
        """`its times are 9 h 00 min behind: time zone?`."""
        minutes = round(self.behind / timedelta(minutes=1))
        days, hours = divmod(minutes // 60, 24)
        if language == "ja":
            long = f"{days}日" if days else f"{hours}時間{minutes % 60:02d}分"
            guess = {"zone": "時差の設定？", "gps": "GPS週番号？", "reset": "時計の初期化？"}.get(self.kind, "時計？")
            return f"観測時刻が{long}遅れています：{guess}"
        long = f"{days} days" if days else f"{hours} h {minutes % 60:02d} min"
        guess = {"zone": "time zone?", "gps": "GPS week?", "reset": "clock reset?"}.get(self.kind, "clock?")
        return f"its times are {long} behind: {guess}"


def lag_of(recent: Sequence[tuple[datetime, datetime]], usual: timedelta = timedelta(0)) -> Lag | None:
    """The lag of a sensor's last readings, each (measured, arrived), in order of measurement; None where it is no more
    than messages take beyond the sensor's `usual` delay. `arrived` is the time of a clock that is right.
    """
    if not recent:
        return None
    observed, arrived = recent[-1]
    behind = arrived - observed
    if behind <= NOTABLE + usual:
        return None
    live = _is_live(recent)
    if abs(behind % _GPS_ERA - _GPS_ERA / 2) >= _GPS_ERA / 2 - _GPS_OFF and behind > _GPS_ERA / 2:
        return Lag(behind, "gps", live)
    if behind > _RESET_RUNS and any(timedelta(0) <= observed - at <= _RESET_RUNS for at in _RESETS):
        return Lag(behind, "reset", live)
    past = (behind + _ZONE_EARLY) % _ZONE_STEP
    if _ZONE_LEAST - _ZONE_EARLY <= behind <= _ZONE_MOST + _ZONE_LATE and past <= _ZONE_EARLY + _ZONE_LATE:
        return Lag(behind, "zone", live)
    lags = [came - measured for measured, came in recent[-LEAST:]]
    constant = live and max(lags) - min(lags) <= _CONSTANT
    return Lag(behind, "constant" if constant else "late", live)


def _is_live(recent: Sequence[tuple[datetime, datetime]]) -> bool:
    if len(recent) < LEAST:
        return False
    measured = recent[-1][0] - recent[0][0]
    came = recent[-1][1] - recent[0][1]
    return measured > timedelta(0) and measured / 2 <= came <= 2 * measured
