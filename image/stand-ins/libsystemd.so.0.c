/*
 * Debian's sshd asks libsystemd whether systemd started it, and for nothing else. Here runit did:
 * this answers "no", and spares the image libsystemd and the six libraries behind it (1.5 MB packed).
 */
int sd_listen_fds(int unset_environment)
{
	(void)unset_environment;
	return 0;
}

int sd_notify(int unset_environment, const char *state)
{
	(void)unset_environment;
	(void)state;
	return 0;
}
