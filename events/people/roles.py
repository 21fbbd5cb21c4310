"""The roles there are; most pages for everybody need no more of people."""

from enum import StrEnum


class Role(StrEnum):
    """What a person may do for a branch and everything below it in the tree."""

    ORGANIZER = "organizer"  # posts events
    BRANCH_ADMIN = "branch-admin"  # and people, branch data, the queue
    ADMIN = "admin"  # everything, everywhere


RANK = {Role.ORGANIZER: 1, Role.BRANCH_ADMIN: 2, Role.ADMIN: 3}
