/*
 * Debian's ssh programs ask first whether SELinux is on. The box's kernel runs without a policy, so the answer is no,
 * and nothing else is asked. Spares the image libselinux and libpcre2 (0.3 MB packed).
 */
int is_selinux_enabled(void)
{
	return 0;
}

#define NOT_ENABLED(name)        \
	int name(void)                 \
	{                              \
		return -1;                   \
	}

NOT_ENABLED(get_default_context_with_level)
NOT_ENABLED(get_default_context_with_rolelevel)
NOT_ENABLED(getcon)
NOT_ENABLED(getfilecon)
NOT_ENABLED(getseuserbyname)
NOT_ENABLED(matchpathcon)
NOT_ENABLED(security_compute_relabel)
NOT_ENABLED(security_getenforce)
NOT_ENABLED(setcon)
NOT_ENABLED(setexeccon)
NOT_ENABLED(setfilecon)
NOT_ENABLED(setfscreatecon)

void freecon(char *context)
{
	(void)context;
}

unsigned short string_to_security_class(const char *name)
{
	(void)name;
	return 0;
}
