"""A notice as schema.org knows it, for search engines: only what is true, and what its page shows too."""

from ..branches.json_ld import Values, filled
from ..calendars.content import Publishing
from ..calendars.entries import utc
from ..calendars.models import Picture
from ..language import Language
from .notices import Told, excerpt


def article(
    told: Told, picture: Picture | None, page: str, publishing: Publishing, spoken: Language
) -> Values:
    notice, branch, topic = told
    begins_at = notice.begins_at or notice.modified_at
    organisation = {"@type": "Organization", "name": publishing.organisation, "url": publishing.base_url}
    author = organisation
    if branch is not None:
        author = organisation | {"name": branch.name, "url": publishing.page_of_branch(branch, spoken)}
    return {"@type": "NewsArticle"} | filled(
        headline=notice.title,
        description=excerpt(notice.text),
        datePublished=utc(begins_at),
        dateModified=utc(max(notice.modified_at, begins_at)),
        expires=utc(notice.ends_at) if notice.ends_at else None,
        image=publishing.address_of(picture),
        inLanguage=notice.language,
        about={"@type": "Thing", "name": topic.name} if topic else None,
        author=author,
        publisher=organisation,
        url=page,
        mainEntityOfPage=page,
    )
