"""The labels that families of several subjects share."""

from typing import Final

from otel.catalogue import semconv
from otel.catalogue.spec import Label

APP: Final = Label(semconv.APP_NAME, bound_by="the configured application name")
METHOD: Final = Label(semconv.METHOD, bound_by="known HTTP methods or _OTHER")
PATH: Final = Label(semconv.PATH, bound_by="route templates or unmatched")
STATUS_CODE: Final = Label(semconv.STATUS_CODE, bound_by="HTTP status codes")
PROVIDER: Final = Label(semconv.PROVIDER, bound_by="configured providers or other")
MODEL: Final = Label(semconv.MODEL, bound_by="configured models or other")
