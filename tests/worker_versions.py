"""Worker Deployment Versioning in tests: registered, current and used versions."""

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment import v1 as proto
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentVersionRequest,
    DescribeWorkflowExecutionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode

from .waiting import until


async def until_registered(client: Client, version: WorkerDeploymentVersion) -> None:
    """Waits until a worker with workflows and activities has registered both task queues of a version."""
    request = DescribeWorkerDeploymentVersionRequest(
        namespace=client.namespace,
        deployment_version=proto.WorkerDeploymentVersion(
            deployment_name=version.deployment_name, build_id=version.build_id
        ),
    )

    async def is_registered() -> bool:
        try:
            described = await client.workflow_service.describe_worker_deployment_version(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return {each.type for each in described.version_task_queues} >= {
            TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        }

    await until(is_registered)


async def make_current(client: Client, version: WorkerDeploymentVersion) -> None:
    """Makes a registered version the current version of the deployment."""
    await client.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace, deployment_name=version.deployment_name, build_id=version.build_id
        )
    )


async def version_of(client: Client, workflow_id: str) -> tuple[VersioningBehavior, str]:
    """The versioning behavior of a workflow, and the build id of the worker that ran the last task."""
    described = await client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
        )
    )
    info = described.workflow_execution_info.versioning_info
    return VersioningBehavior(info.behavior), info.deployment_version.build_id
