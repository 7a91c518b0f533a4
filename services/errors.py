"""What can go wrong at the doors, one class a cause.

::

    ServicesError
    ├── BadParameter     a query parameter that says nothing that can be done
    │   ├── OpenDoor     a host to listen on, while a key is valid that everybody knows
    │   └── WmtsFault    a request of WMTS with a parameter too few, or a value that is none
    ├── RangeOutside     bytes that a file does not have
    ├── NotAcceptable    a format that is not offered
    ├── Unauthorized     a write without a key
    ├── BodyTooLarge     more than a request may carry
    ├── BodyTooSlow      a body that comes drop by drop
    ├── BadSettings      an environment that says something impossible
    ├── LoginFailed      a sign-in that the provider did not vouch for
    ├── BadToken         a provider's token that proves nothing, or something else
    │   └── UnknownKey   one signed with a key that the provider has not published
    ├── FetchRefused     an address off the list of those that may be asked
    ├── FetchFailed      another server that answers badly, too much, too late or not at all
    ├── AddressTooLong   a query string without end
    ├── HeadersTooLarge  headers without end
    ├── BadBody          a body that is not what it says
    │   └── BadFeature   one that states no feature of the layer
    ├── WrongMediaType   a body of a kind that is not taken
    ├── MethodRefused    a method that a resource does not have
    ├── PreconditionFailed    a state of a feature that is no more
    ├── PreconditionRequired  a change that must say of which state
    ├── TooManyRequests  more requests than a caller may make
    ├── ClientGone       who waited for a place left before it was free
    ├── StreamBroken     a stream that ended before its end, after it had begun
    └── UnruledRoute     a route of which nobody has said who may pass it
"""

from __future__ import annotations


class ServicesError(Exception):
    """Anything this floor raises on purpose; its text carries the value and the remedy."""


class BadParameter(ServicesError):
    """A query parameter that says nothing that can be done."""


class OpenDoor(BadParameter):
    """A host to listen on beyond this machine, while a key is valid that everybody knows."""


class WmtsFault(BadParameter):
    """A request of WMTS with a parameter too few, or a value that is none.

    Attributes
    ----------
    code : str
        As OWS calls it: ``MissingParameterValue`` and others.
    locator : str
        The parameter.
    """

    def __init__(self, code: str, locator: str | None, text: str) -> None:
        self.code, self.locator = code, locator
        super().__init__(text)


class RangeOutside(ServicesError):
    """Bytes that a file does not have."""


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


class BodyTooSlow(ServicesError):
    """A body that comes drop by drop."""


class BadBody(ServicesError):
    """A body that is not what it says."""


class BadFeature(BadBody):
    """A body that is JSON, and states no feature of the layer.

    Attributes
    ----------
    faults : tuple of (str, str)
        What is wrong and where, as a JSON pointer.
    """

    def __init__(self, *faults: tuple[str, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{where or '/'}: {what}" for what, where in faults))


class WrongMediaType(ServicesError):
    """A body of a kind that is not taken here.

    Attributes
    ----------
    offered : tuple of str
        The media types that are.
    """

    def __init__(self, cause: str, offered: tuple[str, ...]) -> None:
        self.offered = offered
        super().__init__(f"{cause}; send one of {', '.join(offered)}")


class MethodRefused(ServicesError):
    """A method that this resource does not have for anybody.

    Attributes
    ----------
    allowed : tuple of str
        The methods that it has.
    """

    def __init__(self, cause: str, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        super().__init__(cause)


class PreconditionFailed(ServicesError):
    """A request for a state of a feature that is no more."""


class PreconditionRequired(ServicesError):
    """A change that must say which state of a feature it is of."""


class BadSettings(ServicesError):
    """An environment that says something impossible."""


class LoginFailed(ServicesError):
    """A sign-in that the provider did not vouch for."""


class BadToken(ServicesError):
    """A provider's token that proves nothing, or something else."""


class UnknownKey(BadToken):
    """A token signed with a key that the provider has not published."""


class FetchRefused(ServicesError):
    """An address off the list of those that may be asked."""


class FetchFailed(ServicesError):
    """Another server that answers badly, too much, too late or not at all."""


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


class StreamBroken(ServicesError):
    """A stream that can't go on; its connection breaks, so that nobody takes it for whole."""


class UnruledRoute(ServicesError):
    """A route of which nobody has said who may pass it: a fault of ours."""
