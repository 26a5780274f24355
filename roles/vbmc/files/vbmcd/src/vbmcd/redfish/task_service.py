# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TaskService (DSP0266, 'Asynchronous operations'): what comes of an update, and the monitor that tells it once."""

from __future__ import annotations

from typing import Any, Dict, List

from vbmcd.commands.bmc import Bmc
from vbmcd.firmware.tasks import Monitor, Task, TaskState
from vbmcd.firmware.unit import Unit
from vbmcd.redfish.exchange import Request, Response, nothing
from vbmcd.redfish.messages import CRITICAL, OK, Kind, failure
from vbmcd.redfish.root import collection, date_time, link
from vbmcd.redfish.table import Chapter
from vbmcd.redfish.update_ways import MONITORS, TASK_SERVICE, TASKS, ways_of

task_service = Chapter()

TASK_TYPE = "#Task.v1_4_3.Task"
_PREFIX = "TaskEvent.1.0"
_STATUS = {TaskState.RUNNING: "OK", TaskState.COMPLETED: "OK", TaskState.EXCEPTION: "Warning"}


EVENTS: Dict[str, Kind] = {
    "TaskStarted": Kind("The task %1 has started.", OK, "None."),
    "TaskProgressChanged": Kind("The task %1 is %2 percent complete.", OK, "None."),
    "TaskCompletedOK": Kind("The task %1 has completed.", OK, "None."),
    "TaskAborted": Kind("The task %1 has been aborted.", CRITICAL, "See the log for why."),
}
"""Messages of the TaskEvent registry (DSP8011) that tasks here have; the words are our own."""


@task_service.get(TASK_SERVICE)
async def get_task_service(request: Request, bmc: Bmc) -> Response:
    return Response(
        {
            "@odata.id": TASK_SERVICE,
            "@odata.type": "#TaskService.v1_1_4.TaskService",
            "Id": "TaskService",
            "Name": "Task Service",
            "ServiceEnabled": True,
            "CompletedTaskOverWritePolicy": "Oldest",
            "LifeCycleEventOnTaskStateChange": False,
            "Status": {"State": "Enabled", "Health": "OK"},
            "Tasks": link(TASKS),
        }
    )


@task_service.get(TASKS)
async def list_tasks(request: Request, bmc: Bmc) -> Response:
    """The last hundred, since the BMC has started."""
    paths = [f"{TASKS}/{task.number}" for task in bmc.part(Unit).look().tasks]
    return collection(TASKS, "Task", "Task Collection", paths)


@task_service.get(f"{TASKS}/{{task}}")
async def get_task(request: Request, bmc: Bmc) -> Response:
    task = _find(request, bmc)
    document: Dict[str, Any] = {
        **_short(task),
        "Name": f"Task {task.number}",
        "StartTime": date_time(task.started),
        "PercentComplete": task.percent,
        "TaskMonitor": ways_of(bmc).monitor(task.number),
        "Messages": _messages(task),
        "HidePayload": False,
        "Payload": {"HttpOperation": "POST", "TargetUri": task.target, "HttpHeaders": [], "JsonBody": "null"},
    }
    if task.ended is not None:
        document["EndTime"] = date_time(task.ended)
    return Response(document)


@task_service.get(f"{TASKS}/{{task}}/Monitor")
async def get_monitor_below(request: Request, bmc: Bmc) -> Response:
    """Where monitors were until 2024."""
    if ways_of(bmc).monitors is not None:
        raise failure(404, "ResourceMissingAtURI", request.path)
    return _monitor(_find(request, bmc), bmc)


@task_service.get(f"{MONITORS}/{{task}}")
async def get_monitor(request: Request, bmc: Bmc) -> Response:
    if ways_of(bmc).monitors is None:
        raise failure(404, "ResourceMissingAtURI", request.path)
    return _monitor(_find(request, bmc), bmc)


def accepted(task: Task, bmc: Bmc) -> Response:
    """The answer to what made a task, and of its monitor while it runs."""
    wait = max(1, min(30, int(bmc.instance.firmware.activation_seconds / 5)))
    headers = {"Location": ways_of(bmc).monitor(task.number), "Retry-After": str(wait)}
    return Response(_short(task), 202, headers)


def _monitor(task: Task, bmc: Bmc) -> Response:
    """202 while the task runs, once 204, and then it is gone."""
    answer = task.monitor()
    if answer is Monitor.RUNNING:
        return accepted(task, bmc)
    if answer is Monitor.DONE:
        return nothing()
    raise failure(404, "ResourceNotFound", "Monitor", str(task.number))


def _find(request: Request, bmc: Bmc) -> Task:
    name = request.ids["task"]
    task = bmc.part(Unit).look().tasks.find(int(name)) if name.isdecimal() and len(name) < 10 else None
    if task is None or str(task.number) != name:
        raise failure(404, "ResourceNotFound", "Task", name)
    return task


def _short(task: Task) -> Dict[str, Any]:
    return {
        "@odata.id": f"{TASKS}/{task.number}",
        "@odata.type": TASK_TYPE,
        "Id": str(task.number),
        "Name": f"Task {task.number}",
        "TaskState": task.state.value,
        "TaskStatus": _STATUS[task.state],
    }


def _messages(task: Task) -> List[Dict[str, Any]]:
    """What became of it. Why it failed has no message in the registry, and stands as what is to be mended."""
    documents = []
    for key, arguments in task.messages:
        event = EVENTS[key]
        text = event.text
        for number, argument in enumerate(arguments, start=1):
            text = text.replace(f"%{number}", argument)
        documents.append(
            {
                "@odata.type": "#Message.v1_2_0.Message",
                "MessageId": f"{_PREFIX}.{key}",
                "Message": text,
                "MessageArgs": list(arguments),
                "MessageSeverity": event.severity,
                "Resolution": task.why if task.why and event.severity != OK else event.resolution,
            }
        )
    return documents
