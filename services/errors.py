"""What can go wrong at the doors, one class a cause.

::

    ServicesError
    ├── BadParameter     a query parameter that says nothing that can be done
    ├── NotAcceptable    a format that is not offered
    ├── Unauthorized     a write without a key
    ├── BodyTooLarge     more than a request may carry
    └── BadBody          a body that is not what it says
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
