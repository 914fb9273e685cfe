-- Health of a CopilotTenant for Argo CD: the first case that matches decides, with the message of its condition.
local function condition(name)
  for _, found in ipairs((obj.status or {}).conditions or {}) do
    if found.type == name then
      return found
    end
  end
  return {}
end

local function health(status, found)
  return { status = status, message = found.message or "Waiting for the operator to reconcile it." }
end

local ready = condition("Ready")
local reconciling = condition("Reconciling")
local stalled = condition("Stalled")
local cleanup = condition("CleanupHealthy")
local pressure = condition("StoragePressure")

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "The tenant is being deleted." }
end
-- Before all else: the status of a paused tenant may be of an earlier spec, and the operator does not work on it.
if reconciling.reason == "Paused" then
  return health("Suspended", reconciling)
end
-- The status is of an earlier spec.
if ready.status == nil or (obj.status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return health("Progressing", {})
end
if stalled.status == "True" then
  return health("Degraded", stalled)
end
-- Before Suspended: the cleanup also runs, and fails, while the tenant is suspended.
if cleanup.status == "False" then
  return health("Degraded", cleanup)
end
if ready.reason == "Suspended" or ready.reason == "ScaledToZero" then
  return health("Suspended", ready)
end
-- Also while the operator restarts them, and while a tenant sleeps that could not be woken: users are affected.
if ready.reason == "ServersUnhealthy" or ready.reason == "WakeFailed" then
  return health("Degraded", ready)
end
if reconciling.status == "True" then
  return health("Progressing", reconciling)
end
-- After Reconciling: a volume that is being expanded resolves it.
if pressure.status == "True" then
  return health("Degraded", pressure)
end
if ready.status == "True" then
  return health("Healthy", ready)
end
return health("Progressing", ready)
