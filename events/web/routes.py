"""The table of contents: every address, whether it reads or writes, and who may use it."""

from starlette.routing import BaseRoute, Route

from .. import limits
from . import (
    api,
    branches,
    calendars,
    changing,
    coverage,
    feeds,
    imports,
    lists,
    messages,
    organize,
    pages,
    people,
    posting,
    sitemap,
)
from .endpoints import ADMIN, ORGANIZER, SIGNED_IN, by_address, by_path, read, write

POST = ["POST"]
CONTACT = (by_address(limits.CONTACT), by_path(limits.CONTACT_BRANCH))
SIGN_IN = (by_address(limits.SIGN_IN),)

# fmt: off
routes: list[BaseRoute] = [
    # for everybody
    Route("/",                                  read(pages.home)),
    Route("/subscribe",                         read(pages.subscribe)),
    Route("/about",                             read(pages.about)),
    Route("/privacy",                           read(pages.privacy)),
    Route("/credits",                           read(pages.credits_page)),

    # branches
    Route("/branches",                          read(branches.directory)),
    Route("/branches.json",                     read(branches.list_json)),
    Route("/branches.csv",                      read(branches.list_csv)),
    Route("/branches.geojson",                  read(branches.list_geojson)),
    Route("/branches/{slug}.ics",               read(feeds.branch_feed)),
    Route("/branches/{slug}.atom",              read(lists.branch)),
    Route("/branches/{slug}.vcf",               read(branches.vcard)),
    Route("/branches/{slug}.json",              read(branches.as_json)),
    Route("/branches/{slug}",                   read(branches.page)),
    Route("/branches/{slug}/contact",           read(messages.form_page)),
    Route("/branches/{slug}/contact",           write(messages.send, again=messages.form_page, counted=CONTACT), methods=POST),
    Route("/branches/{slug}/contact/thanks",    read(messages.thanks)),

    # events
    Route("/events",                            read(calendars.listing)),
    Route("/events.ics",                        read(feeds.events_feed)),
    Route("/events.atom",                       read(lists.events)),
    Route("/events.json",                       read(lists.events)),
    Route("/events.csv",                        read(lists.events)),
    Route("/events/{id}.ics",                   read(feeds.event_feed)),
    Route("/events/{id}",                       read(calendars.event)),
    Route("/topics/{slug}.ics",                 read(feeds.topic_feed)),
    Route("/topics/{slug}.atom",                read(lists.topic)),
    Route("/topics/{slug}.json",                read(lists.topic)),
    Route("/topics/{slug}",                     read(calendars.topic)),
    Route("/calendar/{year}/{month}",           read(calendars.month)),

    # people
    Route("/sign-in",                           read(people.sign_in_page)),
    Route("/sign-in",                           write(people.start, again=people.sign_in_page, counted=SIGN_IN), methods=POST),
    Route("/sign-in/sent",                      read(people.link_sent)),
    Route("/sign-in/{token}",                   read(people.link_page)),
    Route("/sign-in/{token}",                   write(people.use_link, counted=SIGN_IN), methods=POST),
    Route("/sign-out",                          write(people.sign_out), methods=POST),
    Route("/account",                           read(people.account, SIGNED_IN)),
    Route("/account/password",                  write(people.change_password, SIGNED_IN, again=people.account, counted=SIGN_IN), methods=POST),
    Route("/account/email",                     write(people.change_email, SIGNED_IN, again=people.account, counted=SIGN_IN), methods=POST),
    Route("/account/sessions",                  write(people.end_sessions, SIGNED_IN), methods=POST),
    Route("/account/removal",                   write(people.delete_account, SIGNED_IN, again=people.account), methods=POST),

    # organizers
    Route("/organize",                          read(organize.desk, ORGANIZER)),
    Route("/organize/events/new",               read(posting.new_page, ORGANIZER)),
    Route("/organize/events/new",               write(posting.add, ORGANIZER, again=posting.new_page), methods=POST),
    Route("/organize/events/preview",           write(posting.preview, ORGANIZER, again=posting.new_page), methods=POST),
    Route("/organize/events/{id}",              read(posting.event_page, ORGANIZER)),
    Route("/organize/events/{id}",              write(posting.change, ORGANIZER, again=posting.event_page), methods=POST),
    Route("/organize/events/{id}/preview",      write(posting.preview_change, ORGANIZER, again=posting.event_page), methods=POST),
    Route("/organize/events/{id}/cancellation", read(changing.cancellation_page, ORGANIZER)),
    Route("/organize/events/{id}/cancellation", write(changing.cancel, ORGANIZER, again=changing.cancellation_page), methods=POST),
    Route("/organize/events/{id}/publication",  write(changing.publish, ORGANIZER), methods=POST),
    Route("/organize/events/{id}/removal",      write(changing.remove, ORGANIZER), methods=POST),
    Route("/organize/events/{id}/dates/{start}", read(changing.date_page, ORGANIZER)),
    Route("/organize/events/{id}/dates/{start}", write(changing.change_date, ORGANIZER, again=changing.date_page), methods=POST),
    Route("/organize/imports",                  read(imports.overview, ORGANIZER)),
    Route("/organize/imports",                  write(imports.bring, ORGANIZER, again=imports.overview), methods=POST),
    Route("/organize/imports/{id}",             read(imports.page, ORGANIZER)),
    Route("/organize/imports/{id}/confirmation", write(imports.confirm, ORGANIZER), methods=POST),
    Route("/organize/imports/{id}/refresh",     write(imports.refresh, ORGANIZER), methods=POST),
    Route("/organize/imports/{id}/removal",     write(imports.remove, ORGANIZER), methods=POST),
    Route("/organize/branches/{slug}/subscribers", read(imports.subscribers, ORGANIZER)),
    Route("/organize/coverage",                 read(coverage.page, ADMIN)),

    # machines
    Route("/api/v1/branches",                   read(api.branch_list)),
    Route("/api/v1/branches/near",              read(branches.list_json)),
    Route("/api/v1/branches/{slug}",            read(api.branch)),
    Route("/api/v1/places",                     read(api.places)),
    Route("/api/v1/events",                     read(api.events)),
    Route("/api/v1/events/{id}",                read(api.event)),
    Route("/api/v1/occurrences",                read(api.occurrences)),
    Route("/static/{path:path}",                pages.static),
    Route("/healthz",                           pages.healthz),
    Route("/readyz",                            read(pages.readyz)),
    Route("/robots.txt",                        pages.robots),
    Route("/sitemap.xml",                       read(sitemap.sitemap)),
    Route("/.well-known/change-password",       pages.change_password_address),
]
# fmt: on
