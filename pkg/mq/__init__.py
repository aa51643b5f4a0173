"""RabbitMQ: the only place that declares queues, publishes and consumes.

`Publisher` (publisher.py) sends with confirms, `Consumer` (consumer.py) takes batches, `dead_letters.py` is for the
person who looks after what could not be handled. Each kind of message has the queue `<kind>` and, for what nobody could
read, `<kind>.dead`.
"""
