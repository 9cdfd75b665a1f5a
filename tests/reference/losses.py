"""Losses and their gradients in NumPy float64; imports nothing from tfcore."""

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def smooth(rows: np.ndarray, label_smoothing: float) -> np.ndarray:
    return (1 - label_smoothing) * rows + label_smoothing / rows.shape[1]


def cross_entropy(logits: np.ndarray, rows: np.ndarray, label_smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns values [N] and the gradient [N, C] of their sum."""
    q, log_p = smooth(rows, label_smoothing), log_softmax(logits)
    return -(q * log_p).sum(axis=1), np.exp(log_p) * q.sum(axis=1, keepdims=True) - q


def mean_squared_error(logits: np.ndarray, rows: np.ndarray, label_smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """Values [N], and the gradient [N, C] of their sum."""
    q, p = smooth(rows, label_smoothing), np.exp(log_softmax(logits))
    slope = 2 * (p - q) / logits.shape[1]  # with respect to p
    return ((p - q) ** 2).mean(axis=1), p * (slope - (slope * p).sum(axis=1, keepdims=True))


def distillation(logits: np.ndarray, teacher_logits: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Values [N], and the gradient [N, C] of their sum with respect to `logits`."""
    log_p, log_q = log_softmax(teacher_logits / temperature), log_softmax(logits / temperature)
    values = temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    return values, temperature * (np.exp(log_q) - np.exp(log_p))
