# Restrictions of both shim and controller. No MemoryDenyWriteExecute: V8 compiles code at run time.
{
  ProtectSystem = "strict";
  ProtectHome = true;
  PrivateTmp = true;
  PrivateDevices = true;
  ProtectClock = true;
  ProtectControlGroups = true;
  ProtectHostname = true;
  ProtectKernelLogs = true;
  ProtectKernelModules = true;
  ProtectKernelTunables = true;
  ProtectProc = "invisible";
  NoNewPrivileges = true;
  LockPersonality = true;
  RemoveIPC = true;
  RestrictNamespaces = true;
  RestrictRealtime = true;
  RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6";
  SystemCallArchitectures = "native";
  SystemCallErrorNumber = "EPERM";
}
