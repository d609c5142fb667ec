"""Makes an effect happen once, however often its task runs: a unique key in the database."""

from hashlib import sha256

from django.db import IntegrityError, connections, router, transaction

from workers.models import Effect

LONGEST = 255  # characters


def first_time(key: str) -> bool:
    """Tell whether the effect that a key names has not happened yet, and note that it does now.

    Called inside the transaction of the effect: what is rolled back has not happened. Whoever asks
    at the same moment waits until that transaction has ended.

    key: what the effect is, and of what, such as "welcome mail:42".

    Raises ValueError for a key that is empty or longer than 255 characters, and RuntimeError
    outside a transaction.
    """
    if not 0 < len(key) <= LONGEST:
        raise ValueError(
            f"first_time({key[:40]!r}…) has a key of {len(key)} characters, and 1 to {LONGEST} can be "
            "stored: name the effect and an id, or a hash of what is longer."
        )
    alias = router.db_for_write(Effect)
    if not connections[alias].in_atomic_block:
        raise RuntimeError(
            f"first_time({key!r}) was called outside a transaction, so that a crash could come "
            "between the key and its effect: put both into one `with transaction.atomic():`."
        )
    if connections[alias].vendor == "mysql":
        key = sha256(key.encode()).hexdigest()  # to MySQL, "a" and "A" are the same
    try:
        with transaction.atomic(using=alias):
            Effect(key=key).save(force_insert=True)
    except IntegrityError:
        return False
    return True
