"""The palette of SH coefficients of a SOG file: vector quantization with up to 65,536 entries in seconds.

Plain k-means costs N x K distances per round: minutes here. Instead the vectors are split by small k-means steps until
a part has about a thousand, entries are shared out where they save the most error, and each part is reduced by merging
the cheapest pairs and polished by Lloyd rounds. Nothing is drawn at random.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gscompress.formats.sog_kernels import dots, merge_cheapest

F32 = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]
_LEAF = 1024
_SPLITS = 48
_SAMPLE = 8192
_SPLIT_ROUNDS = 6
_POLISH_ROUNDS = 3
_POLISH_ALL = 1 << 28  # distances; up to here rounds over the whole palette take a second, and save about a tenth


def fit(vectors: F32, weights: F32, entries: int) -> tuple[F32, Index]:
    """(K, D) palette with K <= ``entries``, and (N,) labels into it, for (N, D) vectors with positive weights.

    Minimises the weighted squared error. Vectors that take no more than ``entries`` values are kept exactly.
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    keys = rows.view(np.dtype((np.void, rows.shape[1] * 4)))[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    distinct = rows[first]
    if len(distinct) <= entries:
        return distinct, inverse
    mass = np.bincount(inverse, weights, len(distinct)).astype(np.float32)
    labels = np.empty(len(distinct), np.intp)
    parts: list[F32] = []
    _reduce(distinct, mass, np.arange(len(distinct)), entries, labels, parts)
    palette = np.concatenate(parts)
    if len(distinct) * entries <= _POLISH_ALL:
        palette, labels = _polish(distinct, mass, palette, _closest(distinct, palette))
    return palette, labels[inverse]


def _reduce(rows: F32, mass: F32, members: Index, entries: int, labels: Index, parts: list[F32]) -> None:
    """Fill ``labels[members]`` and append centres to ``parts``, whose total length numbers the labels."""
    start = sum(map(len, parts))
    if entries >= len(members):
        parts.append(rows[members])
        labels[members] = start + np.arange(len(members))
    elif len(members) <= _LEAF or entries == 1:
        centres, own = _merge(rows[members], mass[members], entries)
        parts.append(centres)
        labels[members] = start + own
    else:
        group = _split(rows[members], mass[members], min(_SPLITS, entries, -(-len(members) // (_LEAF // 2))))
        order = np.argsort(group, kind="stable")
        cuts = np.flatnonzero(np.diff(group[order])) + 1
        groups = [members[rows_] for rows_ in np.split(order, cuts)]
        if len(groups) == 1:  # all alike up to rounding: halve them somehow
            groups = list(np.array_split(members, 2))
        for chunk, share in zip(groups, _share_out(rows, mass, groups, entries), strict=True):
            _reduce(rows, mass, chunk, share, labels, parts)


def _split(x: F32, mass: F32, groups: int) -> Index:
    """Group number of each row: k-means with few centres, trained on a sample."""
    sample = slice(None, None, max(1, len(x) // _SAMPLE))
    points, weight = x[sample], mass[sample]
    order = np.argsort(dots(points, _main_axis(points)[None])[:, 0])
    centres = points[order[np.linspace(0, len(order) - 1, groups).astype(np.intp)]]
    for _ in range(_SPLIT_ROUNDS):
        centres = _centres(points, weight, _closest(points, centres), centres)
    return _closest(x, centres)


def _main_axis(x: F32) -> F32:
    """Roughly the direction of the largest variance, by power iteration."""
    turned = np.ascontiguousarray((x - x.mean(axis=0)).T)
    covariance = dots(turned, turned)
    axis = covariance[np.argmax(np.diagonal(covariance))]
    for _ in range(8):
        axis = covariance @ (axis / max(float(np.abs(axis).max()), 1e-30))
    return axis.astype(np.float32)


def _share_out(rows: F32, mass: F32, groups: list[Index], entries: int) -> list[int]:
    """Entries per group, between 1 and its size, so that one more would save about the same error in each.

    At high resolution the error of a group falls as entries^(-2/d), which gives shares ∝ error^(d / (d + 2)).
    """
    sizes = np.array([len(group) for group in groups])
    errors = np.array([_scatter(rows[group], mass[group]) for group in groups])
    dimensions = rows.shape[1]
    wish = np.maximum(errors, 1e-30) ** (dimensions / (dimensions + 2))
    share = np.ones(len(groups))
    open_ = np.ones(len(groups), bool)
    for _ in range(len(groups)):
        left = entries - share[~open_].sum()
        share[open_] = np.maximum(1, wish[open_] / wish[open_].sum() * left)
        over = open_ & (share >= sizes)
        share[over] = sizes[over]
        if not over.any() or over.all():
            break
        open_ &= ~over
    whole = np.clip(np.floor(share), 1, sizes).astype(int)
    for index in np.argsort(whole - share, kind="stable"):
        if whole.sum() < entries and whole[index] < sizes[index]:
            whole[index] += 1
    while whole.sum() > entries:
        whole[np.argmax(whole)] -= 1
    return whole.tolist()


def _scatter(x: F32, mass: F32) -> float:
    mean = np.average(x, axis=0, weights=mass)
    return float((mass * ((x - mean) ** 2).sum(axis=1)).sum())


def _merge(x: F32, mass: F32, entries: int) -> tuple[F32, Index]:
    """Merge the cheapest pairs (Ward 1963) until ``entries`` centres are left, then polish."""
    share = mass[:, None] * (mass / (mass[:, None] + mass))
    labels = merge_cheapest(_distances(x, x) * share, mass.astype(np.float64), entries)
    centres = _centres(x, mass, labels, np.zeros((entries, x.shape[1]), np.float32))
    return _polish(x, mass, centres, _closest(x, centres))


def _polish(x: F32, mass: F32, centres: F32, labels: Index) -> tuple[F32, Index]:
    for _ in range(_POLISH_ROUNDS):
        centres = _centres(x, mass, labels, centres)
        labels = _closest(x, centres)
    return centres, labels


def _centres(x: F32, mass: F32, labels: Index, before: F32) -> F32:
    """Weighted means per label; empty ones stay where they were."""
    weight = np.bincount(labels, mass, len(before))
    order = np.argsort(labels, kind="stable")
    filled = weight > 0
    starts = np.searchsorted(labels[order], np.flatnonzero(filled))
    sums = np.add.reduceat((x * mass[:, None])[order].astype(np.float64), starts, axis=0)
    after = before.copy()
    after[filled] = sums / weight[filled, None]
    return after


def _closest(x: F32, centres: F32) -> Index:
    """Index of the nearest centre, in blocks that keep the distance matrix small."""
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    block = max(1, (1 << 20) // len(centres))
    return np.concatenate(
        [np.argmin(half - dots(x[i : i + block], centres), axis=1) for i in range(0, max(len(x), 1), block)]
    )


def _distances(a: F32, b: F32) -> F32:
    """Squared distances, (len(a), len(b))."""
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    return np.maximum(squares - 2 * dots(a, b), 0)
