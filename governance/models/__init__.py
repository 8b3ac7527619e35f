"""Every table of governance, one import per line."""

from governance.models.idempotency import IdempotencyRecord as IdempotencyRecord
from governance.models.session import SignInAttempt as SignInAttempt
from governance.models.token import ApiToken as ApiToken
from governance.models.token import TokenUse as TokenUse
from governance.models.user import User as User
