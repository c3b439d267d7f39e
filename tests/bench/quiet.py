# SPDX-License-Identifier: ISC
"""Which measurements were disturbed, and which of them count.

What decides is what the machine did meanwhile, never what was measured. A pair is {side:
sample}; each sample says what was taken from it (machine.Watch)."""
from collections import Counter

# A part of the cores' time: with more, the 99th percentile may be nothing but what was
# stolen; with less, the clock's ticks (4 in two seconds of two cores) are too coarse.
STOLEN_AT_MOST = 0.01
OTHERS_AT_MOST = 0.1  # cores, of those that are left
REASONS = {"stolen": ("time stolen", STOLEN_AT_MOST),
           "others": ("other processes", OTHERS_AT_MOST)}
TRIES = 3  # times as many pairs as are wanted, at most


def reasons_of(pair):
    """Why the pair is disturbed; none if it is not."""
    most = {key: max(sample[key] for sample in pair.values()) for key in REASONS}
    return [reason for key, (reason, at_most) in REASONS.items() if most[key] > at_most]


def no_reasons(_):
    """For what is the same however busy the machine is: bytes."""
    return []


class Choice:
    """Of one row, or of one of its points."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.undisturbed = []
        self.disturbed = []
        self.n_void = 0
        self.reasons = Counter()

    def add(self, pair, reasons):
        self.reasons.update(reasons)
        (self.disturbed if reasons else self.undisturbed).append(pair)

    def add_void(self):
        self.n_void += 1
        self.reasons["nothing measured"] += 1

    def measured(self):
        return [*self.undisturbed, *self.disturbed]

    def done(self, tries):
        return (len(self.undisturbed) >= self.wanted
                or len(self.measured()) + self.n_void >= tries * self.wanted)

    def pairs(self):
        """Those that count: all of them, if none was undisturbed."""
        return self.undisturbed or self.disturbed

    def left_out(self):
        return self.disturbed if self.undisturbed else []


def account_of(choices):
    """What the choices of one row come to, for the report and JSON. "counted": of those
    disturbed."""
    left_out = [pair for c in choices for pair in c.left_out()]
    n_void = sum(c.n_void for c in choices)
    disturbed = sum(len(c.disturbed) for c in choices)
    return {"measured": sum(len(c.measured()) for c in choices) + n_void,
            "disturbed": disturbed + n_void, "counted": disturbed - len(left_out),
            "reasons": dict(sum((c.reasons for c in choices), Counter())),
            "left_out": left_out}


def lines_of(accounts):
    """One of each row of which something was disturbed."""
    for name, a in accounts.items():
        why = ", ".join(f"{reason}: {n}" for reason, n in a["reasons"].items())
        counted = (f"of which {a['counted']} count for want of others" if a["counted"]
                   else "which do not count")
        if a["disturbed"]:
            yield (f"- {name}: {a['disturbed']} of {a['measured']} measurements disturbed "
                   f"({why}), {counted}")
