"""Optimizers in NumPy float64, written from the papers; imports nothing from tfcore.

Each is a class whose `update(w, g, learning_rate)` returns the next w. Beside the right ones stand forms that are
easily mistaken for them.
"""

import numpy as np


class GradientDescent:
    """Robbins & Monro 1951."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        return w - learning_rate * g


class Momentum:
    """Sutskever et al. 2013, eq. 1-2, and eq. 3-4 with w standing for the look-ahead point."""

    def __init__(self, momentum: float, nesterov: bool = False) -> None:
        self.mu, self.nesterov, self.v = momentum, nesterov, 0.0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        if not self.nesterov:
            self.v = self.mu * self.v - learning_rate * g
            return w + self.v
        # theta is the point without look-ahead: w = theta + mu v.
        theta = w - self.mu * self.v
        self.v = self.mu * self.v - learning_rate * g
        return theta + self.v + self.mu * self.v


class VelocityWithoutRate:
    """PyTorch's momentum: the velocity sums gradients, and the current rate scales all of it."""

    def __init__(self, momentum: float, nesterov: bool = False) -> None:
        self.mu, self.nesterov, self.v = momentum, nesterov, 0.0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.v = self.mu * self.v + g
        return w - learning_rate * (g + self.mu * self.v if self.nesterov else self.v)


class Adam:
    """Kingma & Ba 2014, algorithm 1."""

    def __init__(self, beta1: float, beta2: float, epsilon: float) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m, self.v, self.t = 0.0, 0.0, 0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        return w - learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


class AdamEpsilonHat(Adam):
    """Kingma & Ba 2014, the form at the end of section 2, with epsilon hat = epsilon: what Keras computes."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        epsilon = self.epsilon
        self.epsilon = epsilon / np.sqrt(1 - self.beta2 ** (self.t + 1))
        w = super().update(w, g, learning_rate)
        self.epsilon = epsilon
        return w


class AdamW(Adam):
    """Loshchilov & Hutter 2017, algorithm 2, with lambda = base rate · weight_decay."""

    def __init__(self, weight_decay: float, **settings: float) -> None:
        super().__init__(**settings)
        self.weight_decay = weight_decay

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        return super().update(w, g, learning_rate) - learning_rate * self.weight_decay * w


class CoupledAdam(AdamW):
    """Wrong form of AdamW: an L2 penalty, whose decay passes through the moments."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        return Adam.update(self, w, g + self.weight_decay * w, learning_rate)


class Adagrad:
    """Duchi et al. 2011 with Keras' epsilon, under the root."""

    def __init__(self, initial_accumulator: float, epsilon: float) -> None:
        self.total, self.epsilon = initial_accumulator, epsilon

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.total = self.total + g**2
        return w - learning_rate * g / np.sqrt(self.total + self.epsilon)


class AdagradDelta(Adagrad):
    """The paper's delta, and PyTorch's epsilon: beside the root."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.total = self.total + g**2
        return w - learning_rate * g / (np.sqrt(self.total) + self.epsilon)


class Adadelta:
    """Zeiler 2012, algorithm 1, with a rate on the applied change but not on the accumulated one."""

    remembers_the_rate = False

    def __init__(self, rho: float, epsilon: float) -> None:
        self.rho, self.epsilon, self.gradients, self.changes = rho, epsilon, 0.0, 0.0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.gradients = self.rho * self.gradients + (1 - self.rho) * g**2
        delta = -np.sqrt(self.changes + self.epsilon) / np.sqrt(self.gradients + self.epsilon) * g
        remembered = delta * learning_rate if self.remembers_the_rate else delta
        self.changes = self.rho * self.changes + (1 - self.rho) * remembered**2
        return w + learning_rate * delta


class AdadeltaOfChangesMade(Adadelta):
    """Wrong form: the rate inside E[delta²]."""

    remembers_the_rate = True


class RMSprop:
    """Tieleman & Hinton 2012, lecture 6e; centered and with momentum: Graves 2013, eq. 38-41."""

    def __init__(self, rho: float, momentum: float, epsilon: float, centered: bool) -> None:
        self.rho, self.mu, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.squares, self.mean, self.v = 0.0, 0.0, 0.0

    def scaled(self, g: np.ndarray) -> np.ndarray:
        return g / np.sqrt(self.squares - self.centered * self.mean**2 + self.epsilon)

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.squares = self.rho * self.squares + (1 - self.rho) * g**2
        self.mean = self.rho * self.mean + (1 - self.rho) * g
        self.v = self.mu * self.v - learning_rate * self.scaled(g)
        return w + self.v


class RMSpropEpsilonBesideRoot(RMSprop):
    """PyTorch's position of epsilon."""

    def scaled(self, g: np.ndarray) -> np.ndarray:
        return g / (np.sqrt(self.squares - self.centered * self.mean**2) + self.epsilon)


class RMSpropVelocityWithoutRate(RMSprop):
    """PyTorch's momentum: the current rate scales the whole velocity."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        before, self.v = self.v, 0.0
        super().update(w, g, 1.0)
        self.v = self.mu * before + self.v
        return w + learning_rate * self.v


class Nadam(Adam):
    """Dozat 2016 with Keras' schedule and a first moment that decays by beta1."""

    period = 1.0

    def __init__(self, **settings: float) -> None:
        super().__init__(**settings)
        self.product = 1.0

    def u(self, t: int) -> float:
        return self.beta1 * (1 - 0.5 * 0.96 ** (t / self.period))

    def decay(self) -> float:
        return self.beta1

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.t += 1
        self.product *= self.u(self.t)
        self.m = self.decay() * self.m + (1 - self.decay()) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        m_hat = self.u(self.t + 1) * self.m / (1 - self.product * self.u(self.t + 1))
        m_hat = m_hat + (1 - self.u(self.t)) * g / (1 - self.product)
        v_hat = self.v / (1 - self.beta2**self.t)
        return w - learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


class NadamWithSlowSchedule(Nadam):
    """The paper's schedule and PyTorch's."""

    period = 250.0


class NadamWithScheduledMean(Nadam):
    """The paper's first moment, which decays by u_t."""

    def decay(self) -> float:
        return self.u(self.t)


class Lion:
    """Chen et al. 2023, algorithm 2; `margin` is the smallest ratio of a signed sum to its terms so far."""

    def __init__(self, beta1: float, beta2: float, weight_decay: float) -> None:
        self.beta1, self.beta2, self.weight_decay = beta1, beta2, weight_decay
        self.m, self.margin = 0.0, 1.0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        c = self.beta1 * self.m + (1 - self.beta1) * g
        self.margin = min(self.margin, np.min(np.abs(c) / (np.abs(self.beta1 * self.m) + np.abs((1 - self.beta1) * g))))
        self.m = self.beta2 * self.m + (1 - self.beta2) * g
        return w - learning_rate * (np.sign(c) + self.weight_decay * w)


class LionOfNewMean(Lion):
    """Wrong form of Lion: the sign of the stored momentum."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.m = self.beta2 * self.m + (1 - self.beta2) * g
        return w - learning_rate * (np.sign(self.m) + self.weight_decay * w)


class CoupledLion(Lion):
    """Wrong form of Lion: an L2 penalty, whose decay passes through the sign."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        c = self.beta1 * self.m + (1 - self.beta1) * (g + self.weight_decay * w)
        self.m = self.beta2 * self.m + (1 - self.beta2) * (g + self.weight_decay * w)
        return w - learning_rate * np.sign(c)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if numerator > 0 and denominator > 0 else 1.0


class Lars:
    """You, Gitman & Ginsburg 2017, algorithm 1, with lambda = 1 for parameters of fewer than two dimensions."""

    def __init__(self, momentum: float, weight_decay: float, trust_coefficient: float) -> None:
        self.mu, self.beta, self.eta, self.v = momentum, weight_decay, trust_coefficient, 0.0

    def local(self, w: np.ndarray, g: np.ndarray) -> float:
        size = np.linalg.norm(w)
        return _ratio(self.eta * size, np.linalg.norm(g) + self.beta * size) if w.ndim > 1 else 1.0

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.v = self.mu * self.v + learning_rate * self.local(w, g) * (g + self.beta * w)
        return w - self.v


class LarsOfEveryParameter(Lars):
    """Wrong form of LARS: biases and scales adapted too."""

    def local(self, w: np.ndarray, g: np.ndarray) -> float:
        return super().local(np.atleast_2d(w), np.atleast_2d(g))


class LarsOfNormOfSum(Lars):
    """Wrong form of LARS: the norm of gradient and decay together."""

    def local(self, w: np.ndarray, g: np.ndarray) -> float:
        return _ratio(self.eta * np.linalg.norm(w), np.linalg.norm(g + self.beta * w)) if w.ndim > 1 else 1.0


class LarsVelocityWithoutRate(Lars):
    """PyTorch's momentum: the current rate scales the whole velocity."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.v = self.mu * self.v + self.local(w, g) * (g + self.beta * w)
        return w - learning_rate * self.v


class Lamb(AdamW):
    """You et al. 2019, algorithm 2, with Adam's step for parameters of fewer than two dimensions."""

    def direction(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        return w - AdamW.update(self, w, g, 1.0)

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        u = self.direction(w, g)
        ratio = _ratio(np.linalg.norm(w), np.linalg.norm(u)) if w.ndim > 1 else 1.0
        return w - learning_rate * ratio * u


class LambDecayedOutside(Lamb):
    """Keras' weight decay, outside the ratio."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        decay, self.weight_decay = self.weight_decay, 0.0
        new = super().update(w, g, learning_rate)
        self.weight_decay = decay
        return new - learning_rate * decay * w


class LambOfEveryParameter(Lamb):
    """Keras' ratio, which biases and scales have too."""

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        return super().update(np.atleast_2d(w), np.atleast_2d(g), learning_rate).reshape(w.shape)


class Adafactor:
    """Shazeer & Stern 2018, algorithms 4 and 5 with section 9's settings, the learning rate in place of rho_t."""

    def __init__(self, beta1: float, scale_by_weights: bool, weight_decay: float) -> None:
        self.beta1, self.scaled, self.decay = beta1, scale_by_weights, weight_decay
        self.m, self.r, self.c, self.v, self.t = 0.0, 0.0, 0.0, 0.0, 0

    def beta2(self) -> float:
        return 1 - self.t**-0.8

    def moment(self, square: np.ndarray) -> np.ndarray:
        if square.ndim < 2:
            self.v = self.beta2() * self.v + (1 - self.beta2()) * square
            return self.v
        self.r = self.beta2() * self.r + (1 - self.beta2()) * square.sum(axis=-1)
        self.c = self.beta2() * self.c + (1 - self.beta2()) * square.sum(axis=-2)
        return np.einsum("...i,...j->...ij", self.r, self.c) / self.r.sum(axis=-1)[..., None, None]

    def clipped(self, u: np.ndarray) -> np.ndarray:
        return u / max(1.0, np.sqrt(np.mean(u**2)))

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.t += 1
        u = self.clipped(g / np.sqrt(self.moment(g**2 + 1e-30)))
        self.m = self.beta1 * self.m + (1 - self.beta1) * u
        scale = max(1e-3, np.sqrt(np.mean(w**2))) if self.scaled else 1.0
        return w - learning_rate * (scale * self.m + self.decay * w)


class AdafactorInFull(Adafactor):
    """The second moment of algorithm 5 for every parameter."""

    def moment(self, square: np.ndarray) -> np.ndarray:
        return super().moment(square.ravel()).reshape(square.shape)


class AdafactorWithoutClipping(Adafactor):
    """Wrong form of Adafactor: without the bound on the update's RMS."""

    def clipped(self, u: np.ndarray) -> np.ndarray:
        return u


class AdafactorWithAdamsDecay(Adafactor):
    """Wrong form of Adafactor: beta2 that does not rise."""

    def beta2(self) -> float:
        return 0.9 if self.t > 1 else 0.0


class ScheduleFreeAdamW:
    """Defazio et al. 2024, algorithm 1 with the corrected v of `Adam`; w is x, and `limit` the max-norm of z."""

    limit: float | None = None

    def __init__(self, beta1: float, beta2: float, epsilon: float, weight_decay: float) -> None:
        self.beta1, self.beta2, self.epsilon, self.decay = beta1, beta2, epsilon, weight_decay
        self.z, self.v, self.t, self.total = None, 0.0, 0, 0.0

    def gradient_point(self, w: np.ndarray) -> np.ndarray:
        return w if self.z is None else (1 - self.beta1) * self.z + self.beta1 * w

    def decayed(self, w: np.ndarray) -> np.ndarray:
        return self.gradient_point(w)

    def weight(self, learning_rate: float) -> float:
        return learning_rate**2

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        self.t += 1
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        step = g / (np.sqrt(self.v / (1 - self.beta2**self.t)) + self.epsilon) + self.decay * self.decayed(w)
        self.z = (w if self.z is None else self.z) - learning_rate * step
        self.z = self.z if self.limit is None else max_norm(self.z, self.limit)
        self.total += self.weight(learning_rate)
        return w + self.weight(learning_rate) / self.total * (self.z - w)


class ScheduleFreeOfEqualWeights(ScheduleFreeAdamW):
    """Keras' weights, 1 / t."""

    def weight(self, _: float) -> float:
        return 1.0


class ScheduleFreeDecayedAtZ(ScheduleFreeAdamW):
    """Wrong form of schedule-free AdamW: the decay of the fast sequence."""

    def decayed(self, w: np.ndarray) -> np.ndarray:
        return w if self.z is None else self.z


class Muon:
    """Jordan et al. 2024 for weights [..., in, out] as matrices [in, out]; AdamW for fewer than two dimensions."""

    steps = 5

    def __init__(
        self,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
        fallback_learning_rate_factor: float = 1.0,
        muon_variables: str = "",
        **adam: float,
    ) -> None:
        assert not muon_variables  # the dimensions alone decide here
        self.mu, self.nesterov, self.decay, self.m = momentum, nesterov, weight_decay, 0.0
        self.factor = fallback_learning_rate_factor
        self.adamw = AdamW(weight_decay=weight_decay, **adam) if adam else None

    def orthogonal(self, g: np.ndarray) -> np.ndarray:
        x = g / (np.linalg.norm(g) + 1e-7)
        for _ in range(self.steps):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x

    def scale(self, matrix: np.ndarray) -> float:
        inputs, outputs = matrix.shape
        return np.sqrt(max(1.0, outputs / inputs))

    def update(self, w: np.ndarray, g: np.ndarray, learning_rate: float) -> np.ndarray:
        if w.ndim < 2:
            return self.adamw.update(w, g, self.factor * learning_rate)
        self.m = self.mu * self.m + g
        direction = (g + self.mu * self.m if self.nesterov else self.m).reshape(-1, w.shape[-1])
        step = self.scale(direction) * self.orthogonal(direction).reshape(w.shape)
        return w - learning_rate * (step + self.decay * w)


class MuonOfExactOrthogonal(Muon):
    """The orthogonal matrix itself, which the iteration approximates."""

    def orthogonal(self, g: np.ndarray) -> np.ndarray:
        u, _, v = np.linalg.svd(g, full_matrices=False)
        return u @ v


class MuonOfSixSteps(Muon):
    """Another number of steps."""

    steps = 6


class MuonOfPyTorchsLayout(Muon):
    """Wrong form of Muon: the factor of weights [out, in]."""

    def scale(self, matrix: np.ndarray) -> float:
        return super().scale(matrix.T)


def max_norm(w: np.ndarray, limit: float) -> np.ndarray:
    """Max-norm of Srivastava et al. 2014, section 5.1: limits the norm of the weights into each unit (last axis)."""
    columns = w.reshape(-1, w.shape[-1]).copy()
    for column in columns.T:
        norm = np.linalg.norm(column)
        if norm > limit:
            column *= limit / norm
    return columns.reshape(w.shape)


def moving_average(path: list[np.ndarray], decay: float) -> np.ndarray:
    """Returns the averaged weights after the last of `path`, whose first row is the initial weights."""
    average = path[0].astype(np.float64)
    for t, w in enumerate(path[1:]):
        share = min(decay, (1 + t) / (10 + t))
        average = share * average + (1 - share) * w
    return average
