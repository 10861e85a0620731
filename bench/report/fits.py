"""How a cost grows: the simplest of four models that fits a measured curve, and what it says of points far away.

    constant    y = a
    line        y = a + b x          neither part below zero
    logarithm   y = a + b log2 x
    power       y = a x^p

Each is fitted to relative deviations, as figures from nanoseconds to seconds lie on one curve. Its spread is the
root of the mean square of what is left, for the freedom that it has (n - 1 or n - 2 points). A model with two
parameters must halve what the constant leaves, else it follows the noise.
"""

import math

# A model with a parameter more must leave no more than this part of what the constant leaves.
BETTER = 0.5
LEAST_POINTS = 4


class Fit:
    def __init__(self, model, a, b, spread):
        self.model, self.a, self.b, self.spread = model, a, b, spread

    def at(self, x):
        if self.model == "constant":
            return self.a
        if self.model == "power":
            return self.a * x ** self.b
        return self.a + self.b * (x if self.model == "line" else math.log2(x))

    def formula(self, unit):
        if self.model == "constant":
            return f"{short(self.a)} {unit}"
        if self.model == "power":
            return f"{short(self.a)} {unit} · x^{self.b:.2f}"
        step = "x" if self.model == "line" else "log2 x"
        return f"{short(self.a)} {unit} {'+' if self.b >= 0 else '−'} {short(abs(self.b))} {unit} · {step}"


def short(value):
    """Two or three digits, no exponent where it can be read without."""
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e6):
        digits, exponent = f"{value:.1e}".split("e")
        return f"{digits}·10^{int(exponent)}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def spread(points, guess, parameters):
    """Of the logarithms of guess over measured."""
    left = 0.0
    for x, y in points:
        value = guess(x)
        if value <= 0:
            return math.inf
        left += math.log(value / y) ** 2
    return math.sqrt(left / max(len(points) - parameters, 1))


def weighted_line(points):
    """(a, b) of y = a + b x with the least relative deviations."""
    w = [1 / (y * y) for _, y in points]
    total = sum(w)
    mean_x = sum(k * x for k, (x, _) in zip(w, points)) / total
    mean_y = sum(k * y for k, (_, y) in zip(w, points)) / total
    over = sum(k * (x - mean_x) * (y - mean_y) for k, (x, y) in zip(w, points))
    under = sum(k * (x - mean_x) ** 2 for k, (x, _) in zip(w, points))
    slope = over / under if under > 0 else 0.0
    return mean_y - slope * mean_x, slope


def candidates(points):
    a = math.exp(sum(math.log(y) for _, y in points) / len(points))
    yield Fit("constant", a, 0.0, spread(points, lambda x: a, 1))
    base, slope = weighted_line(points)
    if base >= 0 and slope > 0:
        yield Fit("line", base, slope, spread(points, lambda x: base + slope * x, 2))
    logs = [(math.log2(x), y) for x, y in points]
    low, step = weighted_line(logs)
    yield Fit("logarithm", low, step, spread(points, lambda x: low + step * math.log2(x), 2))
    n = len(points)
    mx, my = sum(x for x, _ in logs) / n, sum(math.log2(y) for _, y in points) / n
    under = sum((x - mx) ** 2 for x, _ in logs)
    p = sum((x - mx) * (math.log2(y) - my) for x, y in logs) / under if under > 0 else 0.0
    factor = 2 ** (my - p * mx)
    yield Fit("power", factor, p, spread(points, lambda x: factor * x ** p, 2))


def fit(points):
    """The model of a curve; None: too few points."""
    points = [(x, y) for x, y in points if x > 0 and y > 0]
    if len(points) < LEAST_POINTS:
        return None
    found = list(candidates(points))
    best = min(found, key=lambda one: one.spread)
    return best if best.spread < found[0].spread * BETTER else found[0]


def sentence(name, points, unit):
    """What the report says below a plot; "" if there is nothing to say."""
    found = fit(points)
    if found is None:
        return ""
    return f"{name}: {found.formula(unit)} (spread {found.spread * 100:.0f} %)"
