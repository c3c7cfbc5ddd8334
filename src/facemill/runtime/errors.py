"""Errors a person can act on: which file, what was expected, what was found, what to do."""


class FacemillError(Exception):
    """An error with its four parts as arguments, so that none is forgotten.

    Args:
        subject: the file, configuration key or argument that is wrong, and how.
        expected: what would have been right.
        found: what is there instead.
        remedy: what the user can do about it.
    """

    def __init__(self, subject: str, expected: str, found: str, remedy: str) -> None:
        self.subject, self.expected, self.found, self.remedy = subject, expected, found, remedy
        super().__init__(f"{subject}\n  expected  {expected}\n  found     {found}\n  to do     {remedy}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        return type(self), (self.subject, self.expected, self.found, self.remedy)

    @property
    def sentence(self) -> str:
        """The four parts in one line, for a row of a table."""
        return f"{self.subject}; expected {self.expected}; found {self.found}; {self.remedy}"


class ConfigurationError(FacemillError):
    """A key of the configuration is unknown or holds a value that cannot work."""


class FormatError(FacemillError):
    """A file does not hold what its reader expects."""


class LicensedFileError(FacemillError):
    """A file that only its licence holder can supply is missing or is not the one needed."""


class PhotoError(Exception):
    """One photo cannot be processed: it becomes a row with this status and reason.

    Args:
        status: a short code in snake case, for example `no_face`.
        reason: one sentence for the owner of the photo.
    """

    def __init__(self, status: str, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(f"{status}: {reason}")
