"""Whose person a number is: fixed by the number alone, so no data set can train on another's test people.

Nothing else is imported here: the workflow needs these names before any job runs.
"""

SPLITS = ("test", "val", "train", "train", "train", "train", "train", "train", "train", "train")


def split_of(number: int) -> str:
    """Whose person `number` is: one in ten test, one in ten val, the others train.

    >>> [split_of(n) for n in (0, 1, 2, 19, 20)]
    ['test', 'val', 'train', 'train', 'test']
    """
    return SPLITS[number % 10]


def members_of(split: str, first: int, count: int) -> list[int]:
    """Numbers of the members `first` .. `first + count` − 1 of a split.

    >>> members_of("test", 1, 3), members_of("train", 7, 2)
    ([10, 20, 30], [9, 12])
    """
    places = [place for place, name in enumerate(SPLITS) if name == split]
    if not places:
        raise ValueError(f"split: expected train, val or test, found {split!r}")
    return [10 * (rank // len(places)) + places[rank % len(places)] for rank in range(first, first + count)]


def person_name(number: int) -> str:
    """Name of person `number`, which `person_number` reads.

    >>> person_name(123)
    'person_000123'
    """
    return f"person_{number:06d}"


def person_number(name: str) -> int:
    """Number of the person called `name`.

    >>> person_number("person_000123")
    123
    """
    return int(name.removeprefix("person_"))
