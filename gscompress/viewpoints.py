"""Cameras for a scene that came without any: the views that a photographer would have taken.

1. The *focus* is the mode of opacity-weighted Gaussian density (trainers densify what the photos look at), its
   *radius* the opacity-weighted median distance from it.
2. *Up* is the frame's up, tilted towards the direction that makes flat Gaussians walls and floors (``upright``), and
   turned over when the scene is clearly upside down.
3. Candidates are drawn from a low-discrepancy sequence: *orbit* ones around the focus, *inside* ones within the
   scene, looking outwards.
4. A coarse extinction grid tells what each candidate sees. Candidates with something in front of the lens are
   dropped; those that show less detail than usual are marked down, and so are holes where there is a background.
5. Views are chosen greedily: each is the one that shows the most detail that the views before it did not show. So
   the first k of ``count`` views are the best k, and the mixture of styles follows from the scene: an object is
   seen from outside, a room's detail only from within.
6. Encoders also get a few *unusual* views: candidates furthest from all chosen before, whatever they show.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gscompress.camera import Camera, look_at
from gscompress.errors import UsageError
from gscompress.frame import RDF
from gscompress.freespace import FAR, Air, Surface, sample
from gscompress.scene import Scene
from gscompress.upright import guess_up

F64 = npt.NDArray[np.float64]
Style = Literal["auto", "orbit", "inside"]
FIELD_OF_VIEW = 60.0
"""Degrees across the longer side: a phone's main camera."""
CANDIDATES = 256
"""Per style and call; at least 8 per view asked for."""
MOST = 4096
UPSIDE_DOWN = 0.75
"""Detail seen from above over that from below; 1.25 to 3 in scenes that stand the right way up."""
CLEARANCE = {"orbit": 0.4, "inside": 0.2}
"""Radii that must be free in front of the lens: photographers step back from an object, but rooms are narrow."""
NEAR = 0.05
"""Radii before which nothing is drawn: well within what must be free, and the same at every scale of a scene."""
BLOCKED = 0.08
"""Share of the picture that may be nearer than that."""
ENCODER = 48, 28, 400
"""Views for an encoder of a small scene and of a large one, and their width in pixels. Large scenes fill a view with
many Gaussians, so that fewer tell as much: on plush 24 are as good as 48, on splatfacto-22k 32 cost 0.3 dB and 1.5 dB
in the worst view."""
UNUSUAL = 8, 4
"""Unusual views for an encoder of a small scene and of a large one: they keep Gaussians from ruin that no usual view
shows, such as the rim of a plate from below."""
UNUSUAL_WEIGHT = 0.25
USABLE = 0.3
"""Of the best candidate's fit that an unusual view must have."""
LARGE = 50_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """Poses (C, 4, 4) and what they show of the D detail samples.

    clear: (C,) share of the picture with nothing in front of the lens. fit: (C,) 0 (unusable) to 1.
    seen: (C, D) transmittance to each sample in the frame. shown: (C, D) the same times nearness to the power 3/4.
    facing: (C, S) how much the view looks along each of S directions.
    """

    poses: F64
    clear: F64
    fit: F64
    seen: npt.NDArray[Any]
    shown: npt.NDArray[Any]
    facing: F64


@dataclass(frozen=True, slots=True)
class Subject:
    """What the cameras look at, in right-down-forward axes: focus and up (3,), radius in scene units, and its air."""

    focus: F64
    radius: float
    up: F64
    surface: Surface
    air: Air


def generate(
    scene: Scene,
    count: int = 24,
    width: int = 480,
    height: int | None = None,
    seed: int = 0,
    style: Style = "auto",
    offset: int = 0,
    unusual: int = 0,
) -> list[Camera]:
    """``count`` cameras for a bare scene, best first, in the scene's own axes; then ``unusual`` ones of less weight.

    The same arguments give the same cameras; another ``seed`` or ``offset`` draws from disjoint candidates, which
    makes held-out views. ``height`` defaults to 3/4 of ``width`` (pixels). Raises UsageError for a scene without
    visible Gaussians and for numbers out of range.
    """
    if not 1 <= count <= MOST or min(offset, seed) < 0 or style not in ("auto", "orbit", "inside"):
        raise UsageError(
            f"cannot generate {count} views (1 to {MOST}) of style '{style}', seed {seed}, offset {offset}"
        )
    height = height or max(1, round(width * 3 / 4))
    subject = study(scene)
    numbers = _numbers(seed, offset, max(CANDIDATES, 8 * count))
    sets = []
    if style != "inside":
        sets.append(_judge(subject, _orbit(subject, numbers), CLEARANCE["orbit"], width / height))
    inside_share = {"orbit": 0.0, "inside": 1.0}.get(style, _inside_share(sets[0]) if sets else 1.0)
    if inside_share > 0:
        sets.append(_judge(subject, _inside(subject, numbers), CLEARANCE["inside"], width / height))
    poses = _choose(sets, inside_share, count)
    poses += _furthest(sets[-1 if inside_share > 0.5 else 0], poses, unusual)
    cameras = _cameras(scene, subject, poses, (width, height), f"{style}-{seed}-{offset}")
    return cameras[:count] + [replace(camera, weight=UNUSUAL_WEIGHT) for camera in cameras[count:]]


def for_encoding(scene: Scene) -> list[Camera]:
    """What encoders look at when no cameras are given. Raises UsageError like ``generate``."""
    size = int(len(scene) > LARGE)
    return generate(scene, ENCODER[size], ENCODER[2], unusual=UNUSUAL[size])


def for_judging(scene: Scene) -> list[Camera]:
    """Views that no encoder looks at, to measure what it reached; 24 of them. Raises UsageError like ``generate``."""
    return generate(scene, 24, ENCODER[-1], offset=2)


def turntable(scene: Scene, count: int = 24, width: int = 480, height: int | None = None) -> list[Camera]:
    """``count`` cameras on a circle around the focus, 18 degrees up and 2.6 radii away, for a film or an overview.

    Where part of the circle is blocked (a wall behind the object), the cameras swing to and fro over the longest
    open arc instead. Raises UsageError like ``generate``.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"cannot generate {count} views (1 to {MOST})")
    height = height or max(1, round(width * 3 / 4))
    subject = study(scene)
    probes = _ring(subject, np.linspace(0, 2 * np.pi, 72, endpoint=False))
    shows = _judge(subject, probes, CLEARANCE["orbit"], width / height).fit
    first, length = _longest_run(shows > 0.7 * shows.max() if shows.max() > 0 else np.ones(72, bool))
    if length == 72:
        turns = np.arange(count) / count * 72
    else:
        phase = (
            np.arange(count) + (0.25 if count % 2 == 0 else 0.0)
        ) / count  # no place twice, on the way back neither
        turns = first + (length - 1) * (0.5 + 0.5 * np.sin(2 * np.pi * phase))
    return _cameras(scene, subject, _ring(subject, turns * (2 * np.pi / 72)), (width, height), "turntable")


def _cameras(scene: Scene, subject: Subject, poses: Iterable[F64], size: tuple[int, int], name: str) -> list[Camera]:
    """Cameras in the scene's own axes from poses in right-down-forward ones."""
    turn = np.eye(4)
    turn[:3, :3] = scene.frame.matrix_to(RDF)
    focal = max(size) / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2))
    near = NEAR * subject.radius
    centre = size[0] / 2, size[1] / 2
    return [Camera(*size, focal, focal, *centre, pose @ turn, f"{name}-{k:03d}", near) for k, pose in enumerate(poses)]


def study(scene: Scene) -> Subject:
    """Find focus, radius and up of a scene. Raises UsageError when nothing is visible."""
    to_rdf = scene.frame.matrix_to(RDF)
    surface = sample(scene.splats, np.random.default_rng(0))
    surface = Surface(
        surface.points @ to_rdf.T, surface.normals @ to_rdf.T, surface.flatness, surface.area, surface.detail @ to_rdf.T
    )
    focus, radius = _focus(surface.detail)
    radius = max(radius, 2 * math.sqrt(surface.area), 1e-9)
    up = guess_up(surface, focus, radius, np.array([0.0, -1.0, 0.0]))
    subject = Subject(focus, radius, up, surface, Air(surface, focus, radius))
    return replace(subject, up=-up) if _upside_down(subject) else subject


def _upside_down(subject: Subject) -> bool:
    """Whether far more detail shows from below than from above: what things stand on hides them from below."""
    azimuth = np.arange(16) * (np.pi / 8)
    seen = []
    for side in (1, -1):
        ring = np.concatenate([_directions(subject.up, azimuth, np.full(16, side * a)) for a in np.radians([40, 60])])
        eyes = subject.focus + 3 * subject.radius * ring
        seen.append(np.mean([subject.air.sees(eye, subject.surface.detail).mean() for eye in eyes]))
    return bool(seen[0] < UPSIDE_DOWN * seen[1])


def _focus(points: F64) -> tuple[F64, float]:
    """Mean shift from the median, then the median distance from there.

    The bandwidth is 0.8 of the median distance; over 1/sqrt(2), the middle of a hollow shell or a ring is a mode.
    """
    centre = np.median(points, axis=0)
    bandwidth = 0.8 * float(np.median(np.linalg.norm(points - centre, axis=1)))
    for _ in range(60):
        weight = np.exp(-0.5 * ((points - centre) ** 2).sum(axis=1) / max(bandwidth**2, 1e-30))
        moved = weight @ points / max(weight.sum(), 1e-30)
        if weight.sum() < 1e-12 or np.abs(moved - centre).max() < 1e-3 * bandwidth:
            break
        centre = moved
    return centre, float(np.median(np.linalg.norm(points - centre, axis=1)))


def _halton(start: int, count: int, dims: int) -> F64:
    """(count, dims) of the Halton sequence from index ``start`` + 1."""
    out = np.zeros((count, dims))
    for d, base in enumerate((2, 3, 5, 7, 11, 13)[:dims]):
        index, scale = np.arange(start + 1, start + count + 1), 1.0
        while index.any():
            scale /= base
            out[:, d] += index % base * scale
            index = index // base
    return out


def _numbers(seed: int, offset: int, count: int) -> F64:
    """(count, 6) numbers in [0, 1): a stretch of the Halton sequence, shifted by the seed (Cranley-Patterson)."""
    return (_halton(offset * 8 * MOST, count, 6) + np.random.default_rng([seed, 1]).random(6)) % 1


def _horizon(up: F64) -> F64:
    """(2, 3) two unit vectors that span the horizontal plane."""
    first = np.cross(up, [0.0, 0.0, 1.0] if abs(up[2]) < 0.9 else [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(up, first)])


def _directions(up: F64, azimuth: npt.NDArray[Any], elevation: npt.NDArray[Any]) -> F64:
    """(..., 3) unit vectors from angles in radians."""
    plane = _horizon(up)
    flat = np.cos(azimuth)[..., None] * plane[0] + np.sin(azimuth)[..., None] * plane[1]
    return np.cos(elevation)[..., None] * flat + np.sin(elevation)[..., None] * up


def _orbit(subject: Subject, u: F64) -> F64:
    """Around the focus: 10 degrees below to 55 above the horizon (half under 16), at 1.1 to 3.6 radii."""
    out = _directions(subject.up, 2 * np.pi * u[:, 0], np.radians(-10 + 65 * u[:, 1] ** 1.3))
    eyes = subject.focus + subject.radius * (1.1 * (3.6 / 1.1) ** u[:, 2])[:, None] * out
    targets = subject.focus + subject.radius * 0.7 * (u[:, 3:6] - 0.5)
    return np.stack([look_at(eye, target, subject.up) for eye, target in zip(eyes, targets, strict=True)])


def _ring(subject: Subject, azimuth: npt.NDArray[Any]) -> F64:
    """A circle around the focus."""
    eyes = subject.focus + 2.6 * subject.radius * _directions(
        subject.up, azimuth, np.full(len(azimuth), math.radians(18))
    )
    return np.stack([look_at(eye, subject.focus, subject.up) for eye in eyes])


def _longest_run(open_: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Start and length of the longest run of True on a circle."""
    if open_.all():
        return 0, len(open_)
    start = int(np.argmin(open_)) + 1
    rolled = np.roll(open_, -start)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rolled.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    best = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    return int(best[0] + start) % len(open_), int(best[1] - best[0])


def _inside(subject: Subject, u: F64) -> F64:
    """From places between the scene's surfaces, at middle heights, looking up to 25 degrees down and 15 up."""
    axes = np.concatenate([_horizon(subject.up), subject.up[None]])
    local = (subject.surface.points - subject.focus) @ axes.T
    low = np.maximum(np.percentile(local, (5, 5, 30), axis=0).diagonal(), -2.5 * subject.radius)
    high = np.minimum(np.percentile(local, (95, 95, 80), axis=0).diagonal(), 2.5 * subject.radius)
    eyes = subject.focus + (low + (high - low) * u[:, :3]) @ axes
    ahead = _directions(subject.up, 2 * np.pi * u[:, 3], np.radians(-25 + 40 * u[:, 4]))
    return np.stack([look_at(eye, eye + way, subject.up) for eye, way in zip(eyes, ahead, strict=True)])


def _frame_rays(aspect: float) -> tuple[F64, tuple[float, float]]:
    """Directions of a coarse grid of pixels in camera axes, and the tangents of the half angles across and down."""
    half = math.tan(math.radians(FIELD_OF_VIEW / 2))
    across, down = half * min(1.0, aspect), half * min(1.0, 1 / aspect)
    x, y = np.meshgrid((np.arange(16) + 0.5) / 8 - 1, (np.arange(12) + 0.5) / 6 - 1)
    rays = np.stack([x * across, y * down, np.ones_like(x)], axis=-1).reshape(-1, 3)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True), (across, down)


def _judge(subject: Subject, poses: F64, clearance: float, aspect: float) -> Candidates:
    """What each of (C, 4, 4) poses would show."""
    rays, (across, down) = _frame_rays(aspect)
    air, detail = subject.air, subject.surface.detail
    seen = np.zeros((len(poses), len(detail)), np.float32)
    nearness = np.zeros_like(seen)
    clear, covered = np.zeros(len(poses)), np.zeros(len(poses))
    eyes = _places(poses)
    for i, (pose, eye) in enumerate(zip(poses, eyes, strict=True)):
        ahead = rays @ pose[:3, :3]
        clear[i] = air.ahead(eye, ahead, clearance).mean()
        covered[i] = (air.ahead(eye, ahead, FAR) < 0.5).mean()
        if clear[i] < 1 - BLOCKED:
            continue
        x, y, z = pose[:3, :3] @ detail.T + pose[:3, 3:]
        framed = np.flatnonzero((z > 0) & (np.abs(x) < across * z) & (np.abs(y) < down * z))
        seen[i, framed] = air.sees(eye, detail[framed])
        nearness[i, framed] = subject.radius / np.maximum(z[framed], clearance * subject.radius)
    good = clear >= 1 - BLOCKED
    background = np.clip((np.percentile(covered[good], 90) - 0.8) / 0.15, 0, 1) if good.any() else 0.0
    sides = _directions(subject.up, *np.meshgrid(np.arange(8) * np.pi / 4, np.radians([0.0, -45.0])))
    facing = np.maximum(poses[:, 2, :3] @ sides.reshape(-1, 3).T, 0) ** 4
    shown = seen * nearness**0.75
    amount = shown.sum(axis=1)
    usual = np.median(amount[good]) if good.any() else 0.0
    fit = np.where(good, covered ** (1.5 * background) * np.minimum(amount / max(usual, 1e-12), 1) ** 0.5, 0.0)
    return Candidates(poses, clear, fit, seen, shown, facing)


def _inside_share(orbit: Candidates) -> float:
    """The share of inside views: none when orbit views see 88 % of the detail well, all when they see under 63 %."""
    open_ = orbit.fit > 0
    if not open_.any():
        return 1.0
    well_seen = ((orbit.seen[open_] > 0.25).mean(axis=0) > 0.05).mean()
    return float(np.clip((0.88 - well_seen) / 0.25, 0, 1))


def _choose(sets: Sequence[Candidates], inside_share: float, count: int) -> list[F64]:
    """Greedy: a view counts for the detail it shows from a side from which it was not shown yet."""
    sides, details = sets[0].facing.shape[1], sets[0].shown.shape[1]
    fresh = np.ones((details, sides))
    left = [group.fit.copy() for group in sets]
    chosen = []
    for k in range(count):
        inside = math.floor((k + 1) * inside_share) > math.floor(k * inside_share)
        which = len(sets) - 1 if inside else 0
        if not left[which].max() > 0:
            which = int(np.argmax([fit.max() for fit in left]))
        group = sets[which]
        gain = left[which] * ((group.shown @ fresh) * group.facing).sum(axis=1)
        if not gain.max() > 0:
            gain = np.where(left[which] < 0, -np.inf, group.clear)
        best = int(np.argmax(gain))
        left[which][best] = -1.0
        chosen.append(group.poses[best])
        weight = group.shown[best] / max(float(group.shown[best].max()), 1e-12)
        fresh *= 0.5 ** (2 * weight[:, None] * group.facing[best])
    return chosen


def _furthest(group: Candidates, chosen: Sequence[F64], count: int) -> list[F64]:
    """``count`` usable poses, each as far as can be from all before it: in place, and in the way that it looks."""
    poses = group.poses[group.fit >= USABLE * group.fit.max()]
    places = _places(poses)
    spread = max(float(np.median(np.linalg.norm(places - np.median(places, axis=0), axis=1))), 1e-12)

    def apart(pose: F64) -> F64:
        moved = ((places - _places(pose[None])) ** 2).sum(axis=1) / spread**2
        return np.asarray(moved + ((poses[:, 2, :3] - pose[2, :3]) ** 2).sum(axis=1), np.float64)

    out: list[F64] = []
    distance = np.min([apart(pose) for pose in chosen], axis=0)
    for _ in range(count):
        out.append(poses[int(np.argmax(distance))])
        distance = np.minimum(distance, apart(out[-1]))
    return out


def _places(poses: F64) -> F64:
    """(C, 3) where the cameras of (C, 4, 4) poses stand."""
    return np.asarray(-np.einsum("cji,cj->ci", poses[:, :3, :3], poses[:, :3, 3]), np.float64)
