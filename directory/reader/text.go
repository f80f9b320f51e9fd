package reader

import (
	"slices"

	"sealpost/directory/portal"
)

// words are those of the page in one language.
type words struct {
	Code, Language, Skip, Languages      string
	Title, Intro, NoScript, NotBuilt     string
	Mail, MailDrop, MailHint, MailChoose string
	Key, KeyKept, KeyKeptHint, KeyOwn    string
	KeyFile, KeyFileHint, Passphrase     string
	Open, Forget, Another                string
	From, To, Cc, Date, Unchecked        string
	Files, FilesHint, AsText, AsLetter   string
	Script                               map[string]string // what the page says while it works
}

// languages are those that the page speaks, the default first.
func languages() []words { return []words{english(), chinese()} }

// choose takes the words of the language that the other pages would be in.
func choose(lang, accept string) words {
	all, code := languages(), portal.Language(lang, accept)
	return all[slices.IndexFunc(all, func(w words) bool { return w.Code == code })]
}

func english() words {
	return words{
		Code: "en", Language: "English", Skip: "Go to the form", Languages: "Language",
		Title:    "Read an encrypted mail",
		Intro:    "The mail is decrypted here, in your browser. Neither the mail nor your passphrase leaves this device.",
		NoScript: "Reading in the browser needs JavaScript, which is switched off here. You can also take your key into a mail program and read there.",
		NotBuilt: "Reading in the browser is not available on this server. Please ask its operator, or read with a mail program.",
		Mail:     "Your mail", MailDrop: "Drop the mail here", MailChoose: "Choose a file",
		MailHint: "A mail that you saved (.eml), or its attachment smime.p7m. Up to 170 MB.",
		Key:      "Your key", KeyKept: "The key that is kept here for", KeyKeptHint: "It is sent to this page alone, encrypted. Nothing to type.",
		KeyOwn: "A key file of mine", KeyFile: "Key file", KeyFileHint: "The file that ends in .p12 or .pfx, as you took it home from here or saved it from your mail program.",
		Passphrase: "Passphrase of the key file",
		Open:       "Open the mail", Forget: "Forget the key", Another: "Open another mail",
		From: "From", To: "To", Cc: "Copy to", Date: "Date",
		Unchecked: "Sender, subject and date are as they arrived. The encryption does not cover them.",
		Files:     "Attachments", FilesHint: "Nobody has searched them for viruses. Open only what you expect.",
		AsText: "Show as plain text", AsLetter: "Show with formatting",
		Script: map[string]string{
			"start": "The page is getting ready …", "key": "Opening the key file …", "fetch": "Getting the key …", "open": "Decrypting …", "ready": "The mail is open.",
			"no-mail": "Please choose the mail first.", "no-file": "Please choose your key file.",
			"key-for": "Key of {who}, {kind}, valid until {until}", "forgotten": "The key is forgotten.",
			"no-subject": "(no subject)", "save": "Save", "damaged-part": "damaged: only a part of it could be decoded",
			"letter": "Text of the mail", "empty": "This mail has no text.", "signed": "The mail is signed. This page does not check signatures.",
			"damaged-mail": "Not all of this mail could be taken apart. What could not be shown is among the attachments.",
			"blocked-one":  "One picture from elsewhere was not loaded: it would tell the sender that you are reading.",
			"blocked":      "{n} pictures from elsewhere were not loaded: they would tell the sender that you are reading.",
			"not-mail":     "This file is neither a mail nor the encrypted part of one. In your mail program, save the mail as a file (.eml), or save its attachment smime.p7m.",
			"outlook":      "This is a file in Outlook's own format (.msg), which does not hold the mail as it was sent. In Outlook, forward the mail to yourself as an attachment, or save its attachment smime.p7m from the web mail.",
			"plain":        "This mail is not encrypted. You can read it in your mail program.",
			"not-for-key":  "This mail was encrypted for another key. Perhaps it went to another of your addresses, or you have an older key file.",
			"damaged":      "The mail does not open. It was damaged on its way, or encrypted by a method that this page does not know.",
			"too-large":    "This mail is larger than can be opened here. Please read it with a mail program.",
			"memory":       "This device does not have enough memory for this mail. Please try a computer, or read it with a mail program.",
			"key-file":     "This is no key file, or not one with exactly one key. It ends in .p12 or .pfx.",
			"key-ber":      "This key file was written by Thunderbird or Firefox, in a form that this page does not read. Use the key file that you took home from here, or read the mail in that program.",
			"passphrase":   "The passphrase does not open this key file. Capital and small letters matter.",
			"no-key":       "The key file lacks the certificate of its key.", "old-key": "The key in this file is not of a kind that mail is encrypted for.",
			"session": "Your session is over, or the key is not kept here any more. Please open the link in your notice again, or use your key file.",
			"load":    "The page could not load what it needs. Please check your connection and load it again.",
			"unknown": "That did not work. Please choose the file again.",
		},
	}
}

func chinese() words {
	return words{
		Code: "zh", Language: "中文", Skip: "转到表单", Languages: "语言",
		Title:    "阅读加密邮件",
		Intro:    "邮件在这里，也就是在您的浏览器中解密。邮件和密码都不会离开您的设备。",
		NoScript: "在浏览器中阅读需要 JavaScript，而此处已将其关闭。您也可以把密钥导入邮件程序中阅读。",
		NotBuilt: "此服务器不提供浏览器阅读功能。请咨询运营方，或使用邮件程序阅读。",
		Mail:     "您的邮件", MailDrop: "把邮件拖放到这里", MailChoose: "选择文件",
		MailHint: "您保存的邮件 (.eml)，或其附件 smime.p7m。最大 170 MB。",
		Key:      "您的密钥", KeyKept: "本站为该地址保管的密钥：", KeyKeptHint: "密钥经加密后只发送给本页面，无需输入任何内容。",
		KeyOwn: "我自己的密钥文件", KeyFile: "密钥文件", KeyFileHint: "以 .p12 或 .pfx 结尾的文件，由您从本站下载或从邮件程序中导出。",
		Passphrase: "密钥文件的密码",
		Open:       "打开邮件", Forget: "清除密钥", Another: "打开另一封邮件",
		From: "发件人", To: "收件人", Cc: "抄送", Date: "日期",
		Unchecked: "发件人、主题和日期按收到时的原样显示，不受加密保护。",
		Files:     "附件", FilesHint: "附件未经病毒扫描，请只打开您预期收到的文件。",
		AsText: "显示纯文本", AsLetter: "显示格式",
		Script: map[string]string{
			"start": "页面正在准备……", "key": "正在打开密钥文件……", "fetch": "正在获取密钥……", "open": "正在解密……", "ready": "邮件已打开。",
			"no-mail": "请先选择邮件。", "no-file": "请选择您的密钥文件。",
			"key-for": "{who} 的密钥，{kind}，有效期至 {until}", "forgotten": "密钥已清除。",
			"no-subject": "（无主题）", "save": "保存", "damaged-part": "已损坏：只解码了一部分",
			"letter": "邮件正文", "empty": "这封邮件没有正文。", "signed": "邮件带有签名。本页面不验证签名。",
			"damaged-mail": "这封邮件未能完全解析，无法显示的内容在附件中。",
			"blocked-one":  "有 1 张外部图片未加载：加载会让发件人知道您正在阅读。",
			"blocked":      "有 {n} 张外部图片未加载：加载会让发件人知道您正在阅读。",
			"not-mail":     "该文件既不是邮件，也不是邮件的加密部分。请在邮件程序中把邮件另存为文件 (.eml)，或保存其附件 smime.p7m。",
			"outlook":      "这是 Outlook 专有格式的文件 (.msg)，其中没有邮件的原始内容。请在 Outlook 中把邮件作为附件转发给自己，或从网页邮箱保存附件 smime.p7m。",
			"plain":        "这封邮件没有加密，您可以在邮件程序中阅读。",
			"not-for-key":  "这封邮件是用另一个密钥加密的。它可能发往您的另一个地址，或者您的密钥文件已过时。",
			"damaged":      "邮件无法打开。它可能在途中损坏，或采用了本页面不支持的加密方式。",
			"too-large":    "邮件过大，无法在此打开。请使用邮件程序阅读。",
			"memory":       "此设备的内存不足以打开这封邮件。请换用电脑，或使用邮件程序阅读。",
			"key-file":     "这不是密钥文件，或者其中不是恰好一个密钥。密钥文件以 .p12 或 .pfx 结尾。",
			"key-ber":      "该密钥文件由 Thunderbird 或 Firefox 导出，本页面不支持其格式。请使用从本站下载的密钥文件，或在该程序中阅读邮件。",
			"passphrase":   "密码无法打开该密钥文件。请注意区分大小写。",
			"no-key":       "密钥文件中缺少与密钥对应的证书。", "old-key": "该文件中的密钥不是可用于加密邮件的类型。",
			"session": "会话已结束，或本站不再保管该密钥。请重新打开通知中的链接，或使用您的密钥文件。",
			"load":    "页面未能加载所需内容。请检查网络连接后重新加载。",
			"unknown": "操作未成功。请重新选择文件。",
		},
	}
}
