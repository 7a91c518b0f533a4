"""What can go wrong at the doors, one class a cause.

::

    ServicesError
    ├── BadParameter     a query parameter that says nothing that can be done
    ├── NotAcceptable    a format that is not offered
    ├── Unauthorized     a write without a key
    ├── BodyTooLarge     more than a request may carry
    ├── AddressTooLong   a query string without end
    ├── HeadersTooLarge  headers without end
    ├── BadBody          a body that is not what it says
    ├── TooManyRequests  more requests than a caller may make
    ├── ClientGone       who waited for a place left before it was free
    └── BadSetting       a setting that says nothing that can be done
"""

from __future__ import annotations


class ServicesError(Exception):
    """Anything this floor raises on purpose; its text carries the value and the remedy."""


class BadParameter(ServicesError):
    """A query parameter that says nothing that can be done."""


class NotAcceptable(ServicesError):
    """A format that is not offered."""


class Unauthorized(ServicesError):
    """A request that needs a key and has none."""


class BodyTooLarge(ServicesError):
    """More than a request may carry."""


class AddressTooLong(ServicesError):
    """A query string longer than any question here."""


class HeadersTooLarge(ServicesError):
    """Headers larger than any request here needs."""


class BadBody(ServicesError):
    """A body that is not what it says."""


class TooManyRequests(ServicesError):
    """More requests than a caller may make, or have at work and waiting.

    Attributes
    ----------
    retry_after_s : float
        After how many seconds another may be made.
    """

    def __init__(self, cause: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{cause}; ask again in {self.seconds} s")

    @property
    def seconds(self) -> int:
        """Whole seconds, as ``Retry-After`` has them: never too early, never none.

        >>> TooManyRequests("too many", 1.2).seconds
        2
        """
        return max(1, -int(-self.retry_after_s // 1))


class ClientGone(ServicesError):
    """Who waited for a place left before it was free; nobody reads the answer."""


class BadSetting(ServicesError):
    """A setting of the environment that says nothing that can be done."""
