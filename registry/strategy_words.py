"""The adviser's questions and reasons in words (``registry.strategy_advice``)."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from registry.models import Strategy
from registry.strategy_advice import Advice, Option

NEEDS: Mapping[str, Promise] = {
    "first": gettext_lazy("Nothing of the model serves there yet."),
    "no_downtime": gettext_lazy("It has to answer all the time."),
    "real_traffic": gettext_lazy("It has to be tried on real requests before everybody gets it."),
    "nobody_affected": gettext_lazy("While it is tried, nobody may get its answers."),
    "one_version": gettext_lazy("At any moment everybody has to get answers of the same version."),
    "fast_rollback": gettext_lazy("Going back has to take seconds."),
    "no_spare": gettext_lazy("There is no room to run both versions at full size."),
    "measure_effect": gettext_lazy("It has to be shown with statistics which version is better."),
    "outcomes_late": gettext_lazy("Whether an answer was right is known only weeks later."),
    "earn_while_learning": gettext_lazy("While it is learned which is better, most should get the better one already."),
    "decides_on_people": gettext_lazy("It decides on people, in a use of high risk or under regulation."),
}
KINDS: Mapping[str, Promise] = {
    "online": gettext_lazy("It answers requests"),
    "batch": gettext_lazy("It scores files on a schedule"),
    "streaming": gettext_lazy("It reads a stream of events"),
    "edge": gettext_lazy("It runs on devices"),
    "serverless": gettext_lazy("It runs as functions that are started when they are asked"),
    "federated": gettext_lazy("It learns at several sites that keep their data"),
}
#: What each strategy does, in one sentence.
SAYS: Mapping[str, Promise] = {
    "all_at_once": gettext_lazy("The new version takes the place of the old one in one step."),
    "rolling": gettext_lazy("Instances are replaced a few at a time; for a while both versions answer."),
    "blue_green": gettext_lazy(
        "The new version is set up beside the old one, tested, and all traffic is switched at once."
    ),
    "canary": gettext_lazy("A small share of the traffic goes to the new version and grows while its guards hold."),
    "shadow": gettext_lazy("The new version gets a copy of the requests; nobody gets its answers."),
    "champion_challenger": gettext_lazy(
        "The new version scores what the old one decides; outcomes are joined later, by a rule that was fixed before."
    ),
    "ab": gettext_lazy("Requests or people are assigned to versions by chance until a sample size is reached."),
    "bandit": gettext_lazy("The share of each version follows its reward, within a floor and a ceiling."),
    "batch": gettext_lazy("Each run is asked for anew; its output is kept apart until it was checked."),
    "streaming": gettext_lazy("A second consumer reads the same stream until it is switched at an offset."),
    "edge": gettext_lazy("Groups of devices get the signed package one after the other."),
    "serverless": gettext_lazy("An alias moves a share of the calls to the new version."),
    "federated": gettext_lazy("Sites join a round one by one; what they send is a transfer of its own."),
}
#: What stands against a strategy when the need is asked for and not met, in general.
_LACKS: Mapping[str, Promise] = {
    "first": gettext_lazy("there is no version yet beside which it could run"),
    "no_downtime": gettext_lazy("answers may pause while it is replaced"),
    "real_traffic": gettext_lazy("the first real request comes when everybody gets it"),
    "nobody_affected": gettext_lazy("some people get its answers while it is tried"),
    "one_version": gettext_lazy("for a while people get answers of different versions"),
    "fast_rollback": gettext_lazy("going back means to deploy again"),
    "no_spare": gettext_lazy("both versions run at full size for a while"),
    "measure_effect": gettext_lazy("nobody is assigned by chance, and no outcomes are joined, so nothing is shown"),
    "outcomes_late": gettext_lazy("it learns from outcomes that come soon"),
    "earn_while_learning": gettext_lazy("the shares do not follow what is learned"),
    "decides_on_people": gettext_lazy("chance would decide which people are judged by which version"),
}


def name(strategy: str) -> str:
    """The strategy's name."""
    return str(Strategy(strategy).label)


def against(option: Option) -> list[str]:
    """What speaks against a strategy, a sentence part for each need that it does not meet."""
    return [str(_LACKS[need]) for need in option.lacks]


def in_favour(option: Option) -> list[str]:
    """The needs that it meets, as they were asked."""
    return [str(NEEDS[need]) for need in option.meets]


def conclusion(advice: Advice) -> str:
    """The first sentence of the adviser's page."""
    if not advice.fitting:
        closest = advice.others[0]
        told = {"strategy": name(closest.strategy), "why": "; ".join(against(closest))}
        return _("No strategy does all of that. %(strategy)s comes closest, but: %(why)s.") % told
    best = advice.fitting[0]
    if best.lacks:
        told = {"strategy": name(best.strategy), "why": "; ".join(against(best))}
        return _("%(strategy)s, because of how predictions are made. It does not do everything: %(why)s.") % told
    if best.then:
        return _("%(strategy)s to try it; then %(then)s to bring it to everybody.") % {
            "strategy": name(best.strategy),
            "then": name(best.then),
        }
    return _("%(strategy)s.") % {"strategy": name(best.strategy)}
