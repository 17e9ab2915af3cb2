// SPDX-License-Identifier: GPL-2.0
/* TLS hellos (RFC 8446 4.1, RFC 6066 3, RFC 7301 3.1): server name, ALPN and version, in clear. */
#ifndef UM_LIB_TLS_H
#define UM_LIB_TLS_H

#include "lib/kernel.h"
#include "abi/socket.h"

#define UM_TLS_EXTENSIONS 32
#define UM_TLS_SERVER_NAME 0
#define UM_TLS_ALPN 16
#define UM_TLS_VERSIONS 43
#define UM_TLS_CLIENT_HELLO 1
#define UM_TLS_SERVER_HELLO 2
#define UM_TLS_RANDOM_END 43 /* record header 5, handshake header 4, version 2, random 32 */

static __always_inline u32 um_u8_at(struct __sk_buff *skb, u32 at)
{
	u8 value = 0;

	bpf_skb_load_bytes(skb, at, &value, 1);
	return value;
}

static __always_inline u32 um_u16_at(struct __sk_buff *skb, u32 at)
{
	__be16 value = 0;

	bpf_skb_load_bytes(skb, at, &value, 2);
	return bpf_ntohs(value);
}

/* True when a handshake record with this message begins at `at`. */
static __always_inline bool um_is_hello(struct __sk_buff *skb, u32 at, u8 message)
{
	u8 head[6] = {};

	if (bpf_skb_load_bytes(skb, at, head, sizeof(head)))
		return false;
	return head[0] == 0x16 && head[1] == 3 && head[5] == message;
}

/* Copies up to `max` - 1 bytes; the buffer stays zero padded. */
static __always_inline void um_copy_name(struct __sk_buff *skb, u32 at, u32 len, char *to, u32 max)
{
	if (len > max - 1)
		len = max - 1;
	asm volatile("" : "+r"(len));
	if (len > 0 && len < max)
		bpf_skb_load_bytes(skb, at, to, len);
}

static __always_inline void um_tls_extension(struct __sk_buff *skb, u32 type, u32 at,
					     struct um_tls *tls)
{
	if (type == UM_TLS_SERVER_NAME && um_u8_at(skb, at + 2) == 0)
		um_copy_name(skb, at + 5, um_u16_at(skb, at + 3), tls->sni, UM_SNI_LEN);
	else if (type == UM_TLS_ALPN)
		um_copy_name(skb, at + 3, um_u8_at(skb, at + 2), tls->alpn, UM_ALPN_LEN);
}

/* Offset of the first extension of a ClientHello that begins at `at`. */
static __always_inline u32 um_client_extensions(struct __sk_buff *skb, u32 at)
{
	at += UM_TLS_RANDOM_END;
	at += 1 + um_u8_at(skb, at);  /* session id */
	at += 2 + um_u16_at(skb, at); /* cipher suites */
	at += 1 + um_u8_at(skb, at);  /* compression methods */
	return at + 2;
}

/*
 * Reads what a ClientHello says. A hello that goes on in a later segment is read as far as it goes.
 * Global: checked once.
 */
__noinline int um_client_hello(struct __sk_buff *skb, u32 at, struct um_tls *tls)
{
	if (!tls || !um_is_hello(skb, at, UM_TLS_CLIENT_HELLO))
		return 0;
	at = um_client_extensions(skb, at);
	for (int i = 0; i < UM_TLS_EXTENSIONS; i++) {
		u32 type, len;

		if (at + 4 > skb->len)
			break;
		type = um_u16_at(skb, at);
		len = um_u16_at(skb, at + 2);
		um_tls_extension(skb, type, at + 4, tls);
		at += 4 + len;
	}
	return 1;
}

/* Version a ServerHello chose (0x0303 is TLS 1.2, 0x0304 TLS 1.3); 0 when this is none. */
__noinline int um_server_hello(struct __sk_buff *skb, u32 at)
{
	u32 version;

	if (!um_is_hello(skb, at, UM_TLS_SERVER_HELLO))
		return 0;
	version = um_u16_at(skb, at + 9);
	at += UM_TLS_RANDOM_END;
	at += 1 + um_u8_at(skb, at) + 3 + 2; /* session id, cipher suite and compression, length */
	for (int i = 0; i < 8; i++) {
		u32 type;

		if (at + 4 > skb->len)
			break;
		type = um_u16_at(skb, at);
		if (type == UM_TLS_VERSIONS)
			return um_u16_at(skb, at + 4);
		at += 4 + um_u16_at(skb, at + 2);
	}
	return version;
}

#endif
