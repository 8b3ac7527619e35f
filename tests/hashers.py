"""The real algorithm with one round, so that thousands of sign-ins in the suite cost nothing."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickPBKDF2(PBKDF2PasswordHasher):
    """PBKDF2-SHA256 with a single iteration; for tests only."""

    iterations = 1
