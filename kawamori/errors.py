"""What can go wrong, as few types; callers branch on facts (`retryable`), never on messages."""


class KawamoriError(Exception):
    """Any error of ours."""

    #: Whether the same call may succeed later with nothing changed by us.
    retryable = False
    #: Whether it goes on until a person does something: logged as an error, with what to do.
    needs_a_person = False


class ConfigurationError(KawamoriError):
    """A setting, a file or a server is not what it must be; a person has to change it."""


class UndecodableMessage(KawamoriError):
    """A message breaks the contract of its topic. The text never contains the payload."""


class Refused(KawamoriError):
    """A reading that cannot be stored; the text names the field and goes to quarantine with the raw bytes."""


class StorageUnavailable(KawamoriError):
    """The database could not take the work right now."""

    retryable = True


class StorageBroken(StorageUnavailable):
    """The database and the software do not fit together: a schema, a right or a server that is not what it must be.

    No row is to blame. The same work is kept and tried again, and succeeds once a person has mended it.
    """

    needs_a_person = True


class StorageRefused(KawamoriError):
    """The database refused this very work, and would again: some row in it is poison (SQLSTATE classes 22 and 23)."""


class BrokerUnavailable(KawamoriError):
    """The broker could not be reached, or took too long."""

    retryable = True
