-- Definitions have a weight of the CPU.
UPDATE sandboxes SET definition = json_set(definition, '$.limits.cpuWeight', 100);
