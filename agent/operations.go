package agent

// operations is every method of the compute RPC API that this node serves, in the order of Nova's documentation.
var operations = []func(*Agent) operation{
	opBuild,
	opTerminate,
	opStart,
	opStop,
	opReboot,
	opPause,
	opUnpause,
	opSuspend,
	opResume,
	opConsoleOutput,
	opVNCConsole,
	opSPICEConsole,
	opSerialConsole,
	opRDPConsole,
	opMKSConsole,
	opValidateConsolePort,
	opDiagnostics,
	opInstanceDiagnostics,
	opExternalEvent,
	opSetHostEnabled,
	opHostUptime,
	opHostPowerAction,
	opHostMaintenance,
}
