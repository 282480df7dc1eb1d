"""Which answers are being given: how many, and whether they get on."""

from __future__ import annotations


class Activity:
    """Counts requests and pieces of answers; it belongs to one event loop.

    Attributes:
        wanted: Answers that are being waited for.
        begun: Requests that have begun, ever.
        pieces: Pieces of answers that have come, ever.
    """

    def __init__(self) -> None:
        self.wanted = 0
        self.begun = 0
        self.pieces = 0

    def begin(self) -> Ongoing:
        """Count a request as wanted until it is ended."""
        ongoing = Ongoing(self)
        self.wanted += 1
        self.begun += 1
        return ongoing


class Ongoing:
    """One request. It is made by ``Activity.begin``."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._first = activity.wanted == 0
        self._begun = activity.begun + 1
        self._ended = False

    @property
    def alone(self) -> bool:
        """Whether no other request has been wanted at any time since it began."""
        return self._first and self._activity.begun == self._begun

    def end(self) -> None:
        """Count it as wanted no more; idempotent."""
        if not self._ended:
            self._ended = True
            self._activity.wanted -= 1
