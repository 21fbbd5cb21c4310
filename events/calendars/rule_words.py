"""Recurrence rules in words: "every second Tuesday", "on the last Saturday of the month"."""

from datetime import date, timedelta

from babel.dates import get_month_names

from ..errors import Message, say
from ..language import Language
from .recurrence import Frequency, Rule

NTH = {1: say("first"), 2: say("second"), 3: say("third"), 4: say("fourth"), -1: say("last")}


def rule_in_words(spoken: Language, rule: Rule) -> str:
    """The rule as a person says it, with its end where it has one."""
    text = spoken.say(_how_often(spoken, rule))
    if rule.until is not None:
        return spoken.say(say("%(rule)s until %(day)s", rule=text, day=spoken.long_day(rule.until.date())))
    if rule.count is not None:
        return spoken.say(say("%(rule)s, %(count)d times", rule=text, count=rule.count))
    return text


def _how_often(spoken: Language, rule: Rule) -> Message:
    days = spoken.listed([spoken.weekday(day) for day in rule.weekdays])
    match rule.frequency:
        case Frequency.DAILY:
            return _counted(rule.interval, say("Every day"), say("Every second day"), say("Every %(n)d days"))
        case Frequency.WEEKLY:
            return _weekly(rule.interval, days)
        case Frequency.MONTHLY:
            return _monthly(rule, days)
        case Frequency.YEARLY:
            return _yearly(spoken, rule, days)


def _counted(interval: int, one: Message, two: Message, more: Message) -> Message:
    return one if interval == 1 else two if interval == 2 else Message(more.text, {"n": interval})


def _weekly(interval: int, days: str) -> Message:
    match interval:
        case 1:
            return say("Every %(days)s", days=days)
        case 2:
            return say("Every second %(days)s", days=days)
    return say("Every %(n)d weeks on %(days)s", n=interval, days=days)


def _monthly(rule: Rule, days: str) -> Message:
    if rule.nth:
        which = NTH[rule.nth]
        if rule.interval == 1:
            return say("On the %(nth)s %(day)s of every month", nth=which, day=days)
        return say("On the %(nth)s %(day)s of every %(n)d months", nth=which, day=days, n=rule.interval)
    if rule.month_day == -1 and rule.interval == 1:
        return say("On the last day of every month")
    if rule.month_day == -1:
        return say("On the last day of every %(n)d months", n=rule.interval)
    if rule.interval == 1:
        return say("On day %(day)d of every month", day=rule.month_day)
    return say("On day %(day)d of every %(n)d months", day=rule.month_day, n=rule.interval)


def _yearly(spoken: Language, rule: Rule, days: str) -> Message:
    month = get_month_names("wide", locale=spoken.locale)[rule.month]
    when: Message | str = _month_day(spoken, rule)
    if rule.nth:
        when = say("the %(nth)s %(day)s of %(month)s", nth=NTH[rule.nth], day=days, month=month)
    if rule.interval == 1:
        return say("Every year on %(when)s", when=when)
    return say("Every %(n)d years on %(when)s", n=rule.interval, when=when)


def _month_day(spoken: Language, rule: Rule) -> str:
    """The day of a yearly rule; nothing for one by weekday."""
    if rule.nth:
        return ""
    last = date(2000, rule.month % 12 + 1, 1) - timedelta(days=1)
    day = last if rule.month_day == -1 else date(2000, rule.month, rule.month_day)
    return spoken.month_day(day)
