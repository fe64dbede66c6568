"""What an item saw, and whether it is as it should be."""

ITEMS = {}


def item(number, title):
    """Registers a function of (program, quick, seen) as the trial of an item of the issue."""
    def register(function):
        ITEMS[number] = (title, function)
        return function
    return register


class Seen:
    def __init__(self):
        self.words = []
        self.holds = True

    def note(self, words, holds=True):
        # What does not hold is marked in place: an item has several parts.
        self.words.append(words if holds else f"**{words}**")
        self.holds = self.holds and holds

    def text(self):
        return "; ".join(self.words)
