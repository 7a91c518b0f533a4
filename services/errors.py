"""What can go wrong at the doors, one class a cause.

::

    ServicesError
    ├── BadParameter     a query parameter that says nothing that can be done
    ├── NotAcceptable    a format that is not offered
    ├── Unauthorized     a write without a key
    ├── BodyTooLarge     more than a request may carry
    ├── BadBody          a body that is not what it says
    ├── BadSettings      an environment that says something impossible
    ├── LoginFailed      a sign-in that the provider did not vouch for
    ├── BadToken         a provider's token that proves nothing, or something else
    │   └── UnknownKey   one signed with a key that the provider has not published
    ├── FetchRefused     an address off the list of those that may be asked
    └── FetchFailed      another server that answers badly, too much, too late or not at all
"""


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


class BadBody(ServicesError):
    """A body that is not what it says."""


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
