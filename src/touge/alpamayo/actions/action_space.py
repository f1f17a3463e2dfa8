"""Trajectories as accelerations and curvatures of a unicycle, and back.

Least-squares fits and constants as in Alpamayo-R1 (arXiv 2511.00088, reference repository NVlabs/alpamayo),
float32, without gradient. Ego frame at t0: x forward, y left, metres, radians.

Shapes: B rows, T = 64 future steps, N+1 = 16 history poses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from touge.alpamayo.config import ActionSpaceConfig
from touge.alpamayo.layers.exact import KeepsFloat32, real_device


class ActionSpace(KeepsFloat32):
    """Normalised (acceleration, curvature) per step; buffers only.

    Args:
        config: Normalisation and weights of the fits.
        dtype: Rounds mean and deviation as the reference does when it runs in that type; they stay float32.
    """

    accel_mean: Tensor
    accel_std: Tensor
    curvature_mean: Tensor
    curvature_std: Tensor

    def __init__(self, config: ActionSpaceConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        for name in ("accel_mean", "accel_std", "curvature_mean", "curvature_std"):
            self.register_buffer(name, torch.tensor(getattr(config, name), dtype=dtype, device=real_device()).float())

    @torch.no_grad()
    def to_action(self, history_xy: Tensor, history_yaw: Tensor, future_xy: Tensor, future_yaw: Tensor) -> Tensor:
        """Fit the action that drives a future.

        Args:
            history_xy: [B, N+1, 2], metres, ending at the origin.
            history_yaw: [B, N+1], radians.
            future_xy: [B, T, 2], metres.
            future_yaw: [B, T], radians.

        Returns:
            [B, T, 2] normalised acceleration and curvature.
        """
        c, dt = self.config, self.config.dt
        start = self.initial_speed(history_xy, history_yaw)
        heading = _fit_heading(future_yaw.float(), dt, c.theta_lambda, c.theta_ridge)
        steps = torch.diff(future_xy.float(), dim=1, prepend=torch.zeros_like(future_xy[:, :1]).float())
        speed = _fit_speed(steps, heading, dt, c.v_lambda, c.v_ridge, first=start)
        accel = _fit_acceleration(speed, dt, c.a_lambda, c.a_ridge)
        arc = dt * speed[:, :-1] + dt**2 / 2 * accel
        curvature = _fit_curvature(torch.diff(heading, dim=1), arc, dt, c.kappa_lambda, c.kappa_ridge)
        return torch.stack(
            [(accel - self.accel_mean) / self.accel_std, (curvature - self.curvature_mean) / self.curvature_std], dim=-1
        )

    @torch.no_grad()
    def to_trajectory(self, action: Tensor, history_xy: Tensor, history_yaw: Tensor) -> Tensor:
        """Drive an action from t0.

        Args:
            action: [B, T, 2] normalised.
            history_xy: [B, N+1, 2], metres.
            history_yaw: [B, N+1], radians.

        Returns:
            [B, T, 3]: x, y in metres, yaw in radians.
        """
        dt = self.config.dt
        accel = action[..., 0].float() * self.accel_std + self.accel_mean
        curvature = action[..., 1].float() * self.curvature_std + self.curvature_mean
        start = self.initial_speed(history_xy, history_yaw)[:, None]
        speed = torch.cat([start, start + torch.cumsum(accel * dt, dim=1)], dim=1)
        turn = curvature * speed[:, :-1] * dt + curvature * accel * dt**2 / 2
        heading = torch.cat([torch.zeros_like(start), torch.cumsum(turn, dim=1)], dim=1)
        velocity = speed[..., None] * _direction(heading)
        xy = torch.cumsum((velocity[:, :-1] + velocity[:, 1:]) * (dt / 2), dim=1)
        return torch.cat([xy, heading[:, 1:, None]], dim=-1)

    @torch.no_grad()
    def initial_speed(self, history_xy: Tensor, history_yaw: Tensor) -> Tensor:
        """Return the speed at t0 in m/s, [B], fitted to the history ([B, N+1, 2] metres, [B, N+1] radians)."""
        c = self.config
        steps = torch.diff(history_xy.float(), dim=1)
        return _fit_speed(steps, history_yaw.float(), c.dt, c.v_lambda, c.v_ridge)[:, -1]


def _fit_speed(
    steps: Tensor, heading: Tensor, dt: float, smoothing: float, ridge: float, first: Tensor | None = None
) -> Tensor:
    """Return speeds [B, n+1] that explain position steps [B, n, 2] in the trapezoid model 2/dt dp = v u + v' u'.

    The model is written in m/s, not in metres: it fixes the balance between data, smoothing and ridge.
    """
    rows, n, _ = steps.shape
    direction = _direction(heading)
    design = steps.new_zeros(rows, n, 2, n + 1)
    index = torch.arange(n, device=steps.device)
    design[:, index, :, index] = direction[:, :-1].transpose(0, 1)
    design[:, index, :, index + 1] = direction[:, 1:].transpose(0, 1)
    fit = _Fit(order=3, smoothing=smoothing / dt**6, ridge=ridge)
    return fit.solve(design.flatten(1, 2), steps.flatten(1) * (2 / dt), first)


def _fit_heading(yaw: Tensor, dt: float, smoothing: float, ridge: float) -> Tensor:
    """Return smoothed headings [B, T+1] that begin at 0, of yaw [B, T]."""
    unwrapped = _unwrap(torch.cat([torch.zeros_like(yaw[:, :1]), yaw], dim=1))[:, 1:]
    n = yaw.shape[1]
    design = torch.eye(n + 1, device=yaw.device)[1:].expand(len(yaw), -1, -1)
    fit = _Fit(order=3, smoothing=smoothing / dt**6, ridge=ridge)
    return fit.solve(design, unwrapped, torch.zeros_like(yaw[:, 0]))


def _fit_acceleration(speed: Tensor, dt: float, smoothing: float, ridge: float) -> Tensor:
    """Return accelerations [B, T] of speeds [B, T+1]."""
    n = speed.shape[1] - 1
    design = torch.eye(n, device=speed.device).expand(len(speed), -1, -1)
    fit = _Fit(order=2, smoothing=smoothing / dt**4, ridge=ridge)
    return fit.solve(design, torch.diff(speed, dim=1) / dt)


def _fit_curvature(turn: Tensor, arc: Tensor, dt: float, smoothing: float, ridge: float) -> Tensor:
    """Return curvatures [B, T] that turn by `turn` radians over `arc` metres, each [B, T]."""
    fit = _Fit(order=2, smoothing=smoothing / dt**4, ridge=ridge)
    return fit.solve(torch.diag_embed(arc), turn)


@dataclass(frozen=True, slots=True)
class _Fit:
    """Minimise |A x - y|^2 + smoothing |d^order x|^2 + ridge |x|^2."""

    order: int
    smoothing: float
    ridge: float

    def solve(self, design: Tensor, data: Tensor, first: Tensor | None = None) -> Tensor:
        """Return x [B, n] for A [B, M, n] and y [B, M], with x_0 held at `first` [B] where given."""
        size = design.shape[-1]
        differences = torch.diff(torch.eye(size, device=design.device), n=self.order, dim=0)
        gram = design.mT @ design + self.smoothing * differences.T @ differences
        right = (design.mT @ data[..., None])[..., 0]
        if first is None:
            return self._regularised(gram, right)
        right = right - gram[..., 0] * first[:, None]
        return torch.cat([first[:, None], self._regularised(gram[:, 1:, 1:], right[:, 1:])], dim=1)

    def _regularised(self, gram: Tensor, right: Tensor) -> Tensor:
        """Solve by Cholesky; where that fails, again with ten times the ridge."""
        ridge, identity = self.ridge, torch.eye(gram.shape[-1], device=gram.device)
        factor, info = torch.linalg.cholesky_ex(gram + ridge * identity)
        while bool(info.any()):
            ridge *= 10
            factor, info = torch.linalg.cholesky_ex(gram + ridge * identity)
        return torch.cholesky_solve(right[..., None], factor)[..., 0]


def _direction(heading: Tensor) -> Tensor:
    return torch.stack([heading.cos(), heading.sin()], dim=-1)


def _unwrap(angle: Tensor) -> Tensor:
    """Return `angle` [B, T] without jumps of a full turn."""
    step = torch.diff(angle, dim=1)
    wrapped = torch.remainder(step + math.pi, 2 * math.pi) - math.pi
    return torch.cat([angle[:, :1], angle[:, :1] + torch.cumsum(wrapped, dim=1)], dim=1)
