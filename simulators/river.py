"""How rain becomes a flood wave. Pure; every array has one value a minute of the river's time.

Clustered rain pulses, a loss bucket, a Nash cascade beside a slow reservoir, Muskingum routing downstream, a rating
curve, and the tide at the mouth.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Series: TypeAlias = NDArray[np.float64]

#: Tidal constituents: period in hours, and their share of the amplitude (M2, S2, K1, O1).
_TIDES = ((12.4206, 0.50), (12.0, 0.22), (23.9345, 0.16), (25.8193, 0.12))


def rain(seed: int, minutes: int, total_mm: float, centre: float, spread: float) -> Series:
    """A storm's rain in mm a minute: pulses clustered round `centre` (minutes), `total_mm` in all (Neyman–Scott)."""
    chance = np.random.default_rng(seed)
    at = np.arange(minutes, dtype=np.float64)
    series = np.zeros(minutes)
    for middle in chance.normal(centre, spread, 24):
        length = chance.uniform(4, 14)
        series += chance.gamma(2.0) * np.exp(-0.5 * ((at - middle) / length) ** 2)
    total = float(series.sum())
    return series * (total_mm / total) if total > 0 else series


def effective(series: Series, initial_loss_mm: float = 8.0, runoff: float = 0.75) -> Series:
    """Rain that runs off, mm a minute: a bucket of `initial_loss_mm` fills first, then a share runs off."""
    gone = np.minimum(np.cumsum(series), initial_loss_mm)
    return (series - np.diff(gone, prepend=0.0)) * runoff


def catchment(runoff_mm: Series, area_km2: float, k_minutes: float, base_m3s: float, n: int = 3) -> Series:
    """Discharge in m³/s: nine tenths through a cascade of n equal linear reservoirs (Nash 1957), the rest slowly.

    The slow reservoir empties with a time constant of 36 h. 1 mm a minute on 1 km² is 1000/60 m³/s.
    """
    t = np.arange(1, runoff_mm.size + 1, dtype=np.float64)
    quick = t ** (n - 1) * np.exp(-t / k_minutes) / (k_minutes**n * math.gamma(n))
    slow = np.exp(-t / (36 * 60)) / (36 * 60)
    inflow = runoff_mm * area_km2 * 1000 / 60
    routed = 0.9 * np.convolve(inflow, quick)[: t.size] + 0.1 * np.convolve(inflow, slow)[: t.size]
    return np.asarray(base_m3s + routed, dtype=np.float64)


def muskingum(inflow: Series, k_minutes: float, x: float = 0.2) -> Series:
    """Discharge at a reach's end (McCarthy 1938), cut into pieces so that 2KX ≤ Δt ≤ 2K(1−X) at Δt = 1 minute."""
    pieces = max(1, math.ceil(k_minutes * 2 * x))
    k = max(k_minutes / pieces, 0.5 / (1 - x))
    below = 2 * k * (1 - x) + 1
    c0, c1, c2 = (1 - 2 * k * x) / below, (1 + 2 * k * x) / below, (2 * k * (1 - x) - 1) / below
    flow = inflow
    for _ in range(pieces):
        out = np.empty_like(flow)
        out[0] = flow[0]
        for i in range(1, flow.size):
            out[i] = c0 * flow[i] + c1 * flow[i - 1] + c2 * out[i - 1]
        flow = out
    return flow


def stage(discharge: Series, a: float, b: float, h0: float) -> Series:
    """Water level in m above gauge zero by the rating Q = a(h − h₀)^b."""
    return np.asarray(h0 + (np.maximum(discharge, 0.0) / a) ** (1 / b), dtype=np.float64)


def tide(minutes: int, amplitude_m: float, km_from_mouth: float) -> Series:
    """The tide's part of the level in m, dying away upstream with a reach of 4 km."""
    hours = np.arange(minutes, dtype=np.float64) / 60
    wave = sum(share * np.cos(2 * np.pi * hours / period) for period, share in _TIDES)
    return np.asarray(amplitude_m * math.exp(-km_from_mouth / 4) * wave, dtype=np.float64)
