"""Tuning a plan against renders of the original: what ``--tune`` of the default codec does.

Many views matter as much as many updates. With the 28 that the encoder judges by, pictures of those views come within
5 dB of what held-out ones show after some hundred updates; a hundred more close the gap (docs/codecs/default.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gscompress.camera import Camera
from gscompress.codecs.coded_model import CodedModel
from gscompress.codecs.plan import Plan
from gscompress.context import Context
from gscompress.errors import UsageError
from gscompress.scene import Scene
from gscompress.tune.loop import fit
from gscompress.tune.losses import squared
from gscompress.tune.refine import steps_in
from gscompress.tune.targets import targets
from gscompress.viewpoints import generate

_VIEWS = 400  # to tune against, as far as there is time
_WIDEST = 400  # pixels across
_OFTEN = 10  # updates that a further view must be worth: drawing the original is not free
_UNUSUAL = 4  # every so many of the added views is far from all others: debris is seen from near there
_OFFSET = 3  # of generated views: other ones than those to encode or to judge by
_DRIFT, _FASTEST = 0.6, 0.03  # steps: what noise may move a value in all updates, and the most in one
_FAINT = 3.0  # loss per step of what moves less, in units of what one step of a single value adds to it


def tuned(plan: Plan, original: Scene, kept: Scene, ctx: Context, step: float, seconds: float) -> Plan:
    """The plan with values that were tuned with the codec in the loop, at the price that bits have on its slope.

    step: root of the picture error that one parameter may cause, times sqrt 12. seconds: nominal, see ``steps_in``.
    """
    some = replace(ctx, photos=(), cameras=[_small(camera) for camera in ctx.cameras])
    count = steps_in(seconds, kept, some)
    some = replace(some, cameras=[*some.cameras, *_more(original, some.cameras, count // _OFTEN)])
    goals = targets(original, some)
    size = float(np.mean([goal.rgb.size for goal in goals]))
    rate = min(_DRIFT / np.sqrt(max(count, 1)), _FASTEST)
    model = CodedModel(plan, kept, rate, 2 * np.log(2) / 12 * step**2 * size, _FAINT * step**2 * size)
    fit(model, goals, some, count, loss=squared, title="Tuning what the file decodes to")
    return replace(model.plan(), diffusion=0.0)


def _small(camera: Camera) -> Camera:
    share = min(_WIDEST / camera.width, 1.0)
    return camera.resized(round(camera.width * share), max(round(camera.height * share), 1))


def _more(scene: Scene, cameras: Sequence[Camera], most: int) -> Sequence[Camera]:
    """Views like those that encoders generate, of the size of ``cameras``, up to _VIEWS together."""
    wanted = min(_VIEWS - len(cameras), most)
    if wanted <= 0:
        return ()
    try:
        odd = wanted // _UNUSUAL
        return generate(scene, wanted - odd, cameras[0].width, cameras[0].height, offset=_OFFSET, unusual=odd)
    except UsageError:
        return ()
