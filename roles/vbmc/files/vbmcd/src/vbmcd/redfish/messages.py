# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of the Base registry (DSP0268, DSP8011) and what a client is told when something can't be done.

The ids and their arguments are the standard's, the words our own. ``registries`` serves the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

REGISTRY = "Base"
VERSION = "1.18.1"
_PREFIX = f"{REGISTRY}.{VERSION.rpartition('.')[0]}"

OK, WARNING, CRITICAL = "OK", "Warning", "Critical"


class Kind(NamedTuple):
    """One message of the registry; %1 and so on stand for its arguments."""

    text: str
    severity: str = WARNING
    resolution: str = "Correct the request and send it again."
    description: str = ""

    @property
    def arguments(self) -> int:
        return max((int(self.text[at + 1]) for at, sign in enumerate(self.text) if sign == "%"), default=0)


MESSAGES: Dict[str, Kind] = {
    "Success": Kind("The request was carried out.", OK, "None."),
    "Created": Kind("The resource was made.", OK, "None."),
    "AccountModified": Kind("The account was changed.", OK, "None."),
    "AccountRemoved": Kind("The account was removed.", OK, "None."),
    "PasswordChangeRequired": Kind("The account's password has to be changed: PATCH %1.", CRITICAL),
    "GeneralError": Kind(
        "The service met an error that it has no better name for.", CRITICAL, "See the resolution, and the log."
    ),
    "InternalError": Kind(
        "The service made a mistake. It goes on.", CRITICAL, "Send the request again; the daemon's log has the details."
    ),
    "ServiceTemporarilyUnavailable": Kind(
        "The service can't do this now. Try again in %1 seconds.", CRITICAL, "Wait, and send the request again."
    ),
    "ServiceShuttingDown": Kind("The service is about to end.", CRITICAL, "Wait, and send the request again."),
    "MalformedJSON": Kind("The body is no valid JSON.", CRITICAL),
    "UnrecognizedRequestBody": Kind("The body is not what this request takes.", WARNING),
    "EmptyJSON": Kind("The body is an empty object, and something is needed.", WARNING),
    "NoOperation": Kind("The body has nothing in it that could be set.", WARNING),
    "PropertyUnknown": Kind("The resource has no property %1.", WARNING),
    "PropertyMissing": Kind("The property %1 is required, and missing.", WARNING),
    "PropertyNotWritable": Kind("The property %1 can't be written.", WARNING),
    "PropertyValueTypeError": Kind("The value %1 of the property %2 has the wrong type.", WARNING),
    "PropertyValueNotInList": Kind("The value %1 of the property %2 is none that can be had.", WARNING),
    "PropertyValueFormatError": Kind("The value %1 of the property %2 has the wrong form.", WARNING),
    "PropertyValueOutOfRange": Kind("The value %1 of the property %2 is out of range.", WARNING),
    "PropertyValueConflict": Kind("The property %1 can't be written together with the value of %2.", WARNING),
    "PropertyValueError": Kind("The value of the property %1 can't be had.", WARNING),
    "ActionNotSupported": Kind("There is no action %1 here.", CRITICAL),
    "ActionParameterMissing": Kind("The action %1 needs the parameter %2.", CRITICAL),
    "ActionParameterUnknown": Kind("The action %1 has no parameter %2.", WARNING),
    "ActionParameterNotSupported": Kind("The parameter %1 of the action %2 is not supported.", WARNING),
    "ActionParameterValueNotInList": Kind("The value %1 of the parameter %2 of %3 is none that can be had.", WARNING),
    "ActionParameterValueTypeError": Kind("The value %1 of the parameter %2 of %3 has the wrong type.", WARNING),
    "ActionParameterValueFormatError": Kind("The value %1 of the parameter %2 of %3 has the wrong form.", WARNING),
    "QueryNotSupported": Kind("Query parameters are not supported here.", WARNING),
    "QueryNotSupportedOnResource": Kind("This query parameter is not supported here.", WARNING),
    "QueryNotSupportedOnOperation": Kind("Query parameters are not supported with this operation.", WARNING),
    "QueryParameterValueTypeError": Kind("The value %1 of the query parameter %2 has the wrong type.", WARNING),
    "QueryParameterValueFormatError": Kind("The value %1 of the query parameter %2 has the wrong form.", WARNING),
    "QueryParameterOutOfRange": Kind("The value %1 of the query parameter %2 is outside of %3.", WARNING),
    "QueryCombinationInvalid": Kind("These query parameters don't go together.", WARNING),
    "ResourceNotFound": Kind("There is no %1 named %2.", CRITICAL, "Follow the links from the service root."),
    "ResourceMissingAtURI": Kind("There is nothing at %1.", CRITICAL, "Follow the links from the service root."),
    "ResourceInUse": Kind("The resource is in use, and can't be changed now.", WARNING, "Try again later."),
    "ResourceInStandby": Kind(
        "This can't be done in the resource's present state.", CRITICAL, "Bring it into another state first."
    ),
    "ResourceAlreadyExists": Kind("There is a %1 already whose %2 is %3.", CRITICAL, "Choose another one."),
    "ResourceCannotBeDeleted": Kind("The resource can't be deleted.", CRITICAL, "None."),
    "OperationNotAllowed": Kind("The resource does not take this method.", CRITICAL, "See the Allow header."),
    "OperationFailed": Kind("A part of the request failed.", WARNING, "See the log."),
    "CreateLimitReachedForResource": Kind(
        "No more of these resources can be made.", CRITICAL, "Delete one that is not needed any more."
    ),
    "SessionLimitExceeded": Kind("There are as many sessions as there may be.", CRITICAL, "End one, or wait."),
    "NoValidSession": Kind("There is no valid session.", CRITICAL, "Log in, and send the request again."),
    "ResourceAtUriUnauthorized": Kind("%1 can't be had: %2.", CRITICAL, "Give the credentials of a user."),
    "InsufficientPrivilege": Kind(
        "The user's privileges do not allow this.", CRITICAL, "Log in as another user, or have this one's role changed."
    ),
    "AccessDenied": Kind("%1 denied the access.", CRITICAL, "Log in as another user."),
    "PreconditionFailed": Kind("The resource's ETag is not the one that was given.", CRITICAL, "Read it again first."),
    "PreconditionRequired": Kind("The request needs an ETag in If-Match.", CRITICAL, "Read the resource first."),
    "HeaderMissing": Kind("The header %1 is required, and missing.", CRITICAL),
    "HeaderInvalid": Kind("The header %1 is not valid.", CRITICAL),
    "PayloadTooLarge": Kind("The body is too large.", WARNING, "Send a smaller one."),
    "MissingOrMalformedPart": Kind("The multipart body lacks a part, or has a malformed one.", CRITICAL),
    "CouldNotEstablishConnection": Kind("%1 can't be had.", CRITICAL),
    "InvalidUpload": Kind("%1 got what is no image for this BMC: %2.", WARNING),
    "InsufficientStorage": Kind("There is not enough room.", CRITICAL, "Remove something first."),
    "LicenseRequired": Kind("A license for %1 is required.", CRITICAL),
}
"""What this service may say."""


@dataclass(frozen=True)
class Message:
    """One message to a client."""

    id: str
    arguments: Tuple[str, ...] = ()
    related: Tuple[str, ...] = ()
    """JSON pointers to the properties that it is about."""
    resolution: str = ""
    """Words for this case, in place of the registry's."""

    def to_json(self) -> Dict[str, Any]:
        kind = MESSAGES[self.id]
        text = kind.text
        for number, argument in enumerate(self.arguments, start=1):
            text = text.replace(f"%{number}", argument)
        if self.resolution:
            # The reason in this case. Most clients show the message alone.
            text = f"{text} {self.resolution}"
        document: Dict[str, Any] = {
            "@odata.type": "#Message.v1_2_0.Message",
            "MessageId": f"{_PREFIX}.{self.id}",
            "Message": text,
            "MessageArgs": list(self.arguments),
            "MessageSeverity": kind.severity,
            "Resolution": self.resolution or kind.resolution,
        }
        if self.related:
            document["RelatedProperties"] = list(self.related)
        return document


def message(id: str, *arguments: object, related: str = "", resolution: str = "") -> Message:
    """`arguments` are shortened: some come from a client."""
    words = tuple(str(argument)[:120] for argument in arguments)
    return Message(id, words, (related,) if related else (), resolution)


@dataclass
class Failure(Exception):
    """A request that is refused: the HTTP status, and why."""

    status: int
    messages: List[Message]
    headers: Dict[str, str] = field(default_factory=dict)

    def body(self) -> Dict[str, Any]:
        """The error response (DSP0266, 'Error responses')."""
        first = self.messages[0].to_json()
        code, text = first["MessageId"], first["Message"]
        if len(self.messages) > 1:
            code, text = f"{_PREFIX}.GeneralError", "Several things are wrong: see the extended information."
        extended = [one.to_json() for one in self.messages]
        return {"error": {"code": code, "message": text, "@Message.ExtendedInfo": extended}}


def failure(
    status: int,
    id: str,
    *arguments: object,
    related: str = "",
    resolution: str = "",
    headers: Optional[Dict[str, str]] = None,
) -> Failure:
    """A refusal for one reason."""
    return Failure(status, [message(id, *arguments, related=related, resolution=resolution)], headers or {})
