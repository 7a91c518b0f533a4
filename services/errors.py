"""What can go wrong at the doors, one class a cause.

::

    ServicesError
    ├── BadParameter     a query parameter that says nothing that can be done
    │   └── OpenDoor     a host to listen on, while a key is valid that everybody knows
    ├── NotAcceptable    a format that is not offered
    ├── Unauthorized     a write without a key
    ├── BodyTooLarge     more than a request may carry
    ├── BadBody          a body that is not what it says
    └── BadSetting       a setting that says nothing that can be done
"""


class ServicesError(Exception):
    """Anything this floor raises on purpose; its text carries the value and the remedy."""


class BadParameter(ServicesError):
    """A query parameter that says nothing that can be done."""


class OpenDoor(BadParameter):
    """A host to listen on beyond this machine, while a key is valid that everybody knows."""


class NotAcceptable(ServicesError):
    """A format that is not offered."""


class Unauthorized(ServicesError):
    """A request that needs a key and has none."""


class BodyTooLarge(ServicesError):
    """More than a request may carry."""


class BadBody(ServicesError):
    """A body that is not what it says."""


class BadSetting(ServicesError):
    """A setting that says nothing that can be done."""
