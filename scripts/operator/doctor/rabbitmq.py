"""RabbitMQ: it answers, somebody takes what is in the queues, and nothing was buried."""

from collections.abc import Sequence

from dal.registers.model import Kind
from pkg.mq.connection import BrokerConnection
from pkg.mq.depth import measure_queues
from scripts.operator.doctor.answers import ask_all
from scripts.operator.doctor.examination import Look
from scripts.operator.doctor.finding import Finding
from scripts.operator.doctor.target import Target

ROLE = "rabbitmq"
# A consumer takes thousands in a second.
MOST_WAITING = 1000


async def look_at_broker(target: Target) -> Sequence[Finding]:
    """Every node lets the services in."""
    settings = target.settings.rabbitmq

    async def ask(address: str) -> None:
        node = settings.model_copy(update={"nodes": (address,)})
        await (await BrokerConnection.open(node, name="doctor")).close()

    return await ask_all(target, ROLE, settings.nodes, ask)


def look_at_queue(kind: Kind) -> Look:
    """Return what sees that somebody takes the actions of a kind from their queue."""

    async def look(target: Target) -> Sequence[Finding]:
        """A consumer takes the actions from the queue, and they do not pile up."""
        depth = (await measure_queues(target.settings.rabbitmq, [kind]))[kind]
        subject = f"queue {kind}"
        command = target.place.look_into(kind, target.settings.rabbitmq.nodes[0])
        if depth is None:
            return [Finding(subject, "does not exist", "its service makes it", command)]
        if not depth.consumers:
            return [Finding(subject, "is read by nobody", f"{depth.waiting} wait", command)]
        if depth.waiting > MOST_WAITING:
            return [Finding(subject, "grows", f"{depth.waiting} wait", command)]
        return []

    return look


async def look_at_dead_letters(target: Target) -> Sequence[Finding]:
    """No message was put aside because it is no action."""
    depths = await measure_queues(target.settings.rabbitmq, list(Kind))
    return [
        Finding(
            f"dead letters of {kind}",
            "wait for a decision",
            f"{depth.dead} in {kind}.dead",
            target.place.command("replay", kind),
        )
        for kind, depth in depths.items()
        if depth is not None and depth.dead
    ]
