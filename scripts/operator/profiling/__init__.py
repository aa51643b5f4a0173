"""Where a process of the product spends its time: pictures by py-spy, which looks into it from outside."""
