"""Every table of governance, one import per line."""

from governance.models.attestation_key import AttestationKey as AttestationKey
from governance.models.backtest import Backtest as Backtest
from governance.models.backtest import BacktestProgress as BacktestProgress
from governance.models.decision import Decision as Decision
from governance.models.delegation import Delegation as Delegation
from governance.models.emergency import Emergency as Emergency
from governance.models.evidence import Evidence as Evidence
from governance.models.evidence_key import EvidenceKey as EvidenceKey
from governance.models.factor import FactorChallenge as FactorChallenge
from governance.models.factor import FactorUse as FactorUse
from governance.models.factor import PersonalSignature as PersonalSignature
from governance.models.factor import SecondFactor as SecondFactor
from governance.models.idempotency import IdempotencyRecord as IdempotencyRecord
from governance.models.permit import Permit as Permit
from governance.models.policy import PolicyPack as PolicyPack
from governance.models.promotion import Promotion as Promotion
from governance.models.session import SignInAttempt as SignInAttempt
from governance.models.signoff import Retraction as Retraction
from governance.models.signoff import SignOff as SignOff
from governance.models.token import ApiToken as ApiToken
from governance.models.token import TokenUse as TokenUse
from governance.models.transfer import TransferHalt as TransferHalt
from governance.models.transfer import TransferSafeguard as TransferSafeguard
from governance.models.user import User as User
from governance.models.waiver import Waiver as Waiver
