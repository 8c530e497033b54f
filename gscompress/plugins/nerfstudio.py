"""nerfstudio methods whose training ends with a compressed scene: ``ns-train gscompress-nerfacto``, ``…-splatfacto``.

The recipes are nerfstudio's own (1.1), spelt out because its table of methods cannot be imported while it looks for
plugins. The last checkpoint is followed by ``scene.gscz`` beside ``config.yml``, which ``gscompress view`` shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.data.datamanagers.full_images_datamanager import FullImageDatamanagerConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.schedulers import ExponentialDecaySchedulerConfig
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.models.nerfacto import NerfactoModelConfig
from nerfstudio.models.splatfacto import SplatfactoModelConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig
from nerfstudio.plugins.types import MethodSpecification
from nerfstudio.utils.rich_utils import CONSOLE

from gscompress.errors import GscompressError
from gscompress.plugins.finish import finish


@dataclass
class CompressingTrainerConfig(TrainerConfig):
    """quality: 0 (smallest) to 100 (best) of the compressed scene; the codec's own when left out."""

    _target: type = field(default_factory=lambda: CompressingTrainer)
    quality: float | None = None


class CompressingTrainer(Trainer):
    """nerfstudio's trainer; when the last checkpoint is saved, it is compressed too."""

    config: CompressingTrainerConfig

    def save_checkpoint(self, step: int) -> None:
        super().save_checkpoint(step)
        if self.local_rank == 0 and step + 1 >= self.config.max_num_iterations:
            target = self.base_dir / "scene.gscz"
            try:
                size = finish(self.checkpoint_dir / f"step-{step:09d}.ckpt", target, self.config.quality)
            except GscompressError as error:  # the checkpoint is safe, and the user can try again by hand
                CONSOLE.print(f"[bold red]gscompress: {error}")
                return
            CONSOLE.print(
                f"[bold green]gscompress: {target} ({size:,} bytes); look at it with gscompress view {target}"
            )


def _adam(rate: float, last: float | None = None, steps: int = 30000, **more: Any) -> dict[str, Any]:
    schedule = None if last is None else ExponentialDecaySchedulerConfig(lr_final=last, max_steps=steps, **more)
    return {"optimizer": AdamOptimizerConfig(lr=rate, eps=1e-15), "scheduler": schedule}


nerfacto = MethodSpecification(
    config=CompressingTrainerConfig(
        method_name="gscompress-nerfacto",
        steps_per_eval_batch=500,
        steps_per_save=2000,
        max_num_iterations=30000,
        mixed_precision=True,
        pipeline=VanillaPipelineConfig(
            datamanager=VanillaDataManagerConfig(
                dataparser=NerfstudioDataParserConfig(), train_num_rays_per_batch=4096, eval_num_rays_per_batch=4096
            ),
            model=NerfactoModelConfig(
                eval_num_rays_per_chunk=1 << 15,
                average_init_density=0.01,
                camera_optimizer=CameraOptimizerConfig(mode="SO3xR3"),
            ),
        ),
        optimizers={
            "proposal_networks": _adam(1e-2, 1e-4, 200000),
            "fields": _adam(1e-2, 1e-4, 200000),
            "camera_opt": _adam(1e-3, 1e-4, 5000),
        },
        viewer=ViewerConfig(num_rays_per_chunk=1 << 15),
        vis="viewer",
    ),
    description="nerfacto that ends with a scene compressed by gscompress.",
)

splatfacto = MethodSpecification(
    config=CompressingTrainerConfig(
        method_name="gscompress-splatfacto",
        steps_per_eval_image=100,
        steps_per_eval_batch=0,
        steps_per_save=2000,
        steps_per_eval_all_images=1000,
        max_num_iterations=30000,
        mixed_precision=False,
        pipeline=VanillaPipelineConfig(
            datamanager=FullImageDatamanagerConfig(
                dataparser=NerfstudioDataParserConfig(load_3D_points=True), cache_images_type="uint8"
            ),
            model=SplatfactoModelConfig(),
        ),
        optimizers={
            "means": _adam(1.6e-4, 1.6e-6),
            "features_dc": _adam(0.0025),
            "features_rest": _adam(0.0025 / 20),
            "opacities": _adam(0.05),
            "scales": _adam(0.005),
            "quats": _adam(0.001),
            "camera_opt": _adam(1e-4, 5e-7, warmup_steps=1000, lr_pre_warmup=0),
            "bilateral_grid": _adam(2e-3, 1e-4, warmup_steps=1000, lr_pre_warmup=0),
        },
        viewer=ViewerConfig(num_rays_per_chunk=1 << 15),
        vis="viewer",
    ),
    description="splatfacto that ends with a scene compressed by gscompress.",
)
