/** What the prompt understands. At most 79 columns, as everything on the console. */
export const help: readonly string[] = [
	"status [all]          ports, high availability, virtual servers (or just Enter)",
	"log [COUNT] [SERVICE] newest lines of the services' logs, such as: log 50 vrrp",
	"config                the configuration in use; config check judges it",
	"ipvs                  the kernel's own table",
	"realserver            what the real servers need",
	"shell                 a root shell (logged)",
	"reboot, poweroff",
	"",
	"^C gives up a line, ^L shows the screen again.",
];
